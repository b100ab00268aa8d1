// What search, score, evaluate and repair share: a network, which of its values are approximated, which are compared.
#pragma once

#include "network/quantized_network.hpp"

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <vector>

namespace triseg {

/// A quantized network with its sites and attention layers.
struct Problem {
  QuantizedNetwork model;
  std::vector<std::size_t> sites;      ///< indices into the layers, ascending; at least one
  std::vector<std::size_t> attention;  ///< indices into the layers, ascending; may be empty

  const Network& network() const { return model.network; }
  /// The layer of site number `index`.
  const Layer& site(std::size_t index) const { return model.network.layers[sites[index]]; }
  /// The number of a layer among the sites, or among the attention layers; -1 if it is none of them.
  int site_of(std::size_t layer) const { return number_in(sites, layer); }
  int attention_of(std::size_t layer) const { return number_in(attention, layer); }

 private:
  static int number_in(const std::vector<std::size_t>& layers, std::size_t layer) {
    const auto found = std::find(layers.begin(), layers.end(), layer);
    return found == layers.end() ? -1 : static_cast<int>(found - layers.begin());
  }
};

/// The sites that a selection names: "all", "conv", or names separated by commas, in network order.
/// Throws Error for an unknown name, a layer without a ReLU, a name given twice, a blank, or an empty selection.
std::vector<std::size_t> select_sites(const Network& network, std::string_view selection);

/// The attention layers that a selection names: "default", those of the description; "none"; or names separated by
/// commas. Throws Error for an unknown name, a layer without a ReLU, a name given twice, or an empty list.
std::vector<std::size_t> select_attention_layers(const Network& network, std::string_view selection);

/// The problem of these selections, which are those of --sites and --attention-layers.
Problem make_problem(QuantizedNetwork model, std::string_view sites = "all",
                     std::string_view attention_layers = "default");

}  // namespace triseg
