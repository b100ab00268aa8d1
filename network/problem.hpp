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
  std::vector<std::size_t> sites;      ///< numbers of nodes, ascending; at least one
  std::vector<std::size_t> attention;  ///< numbers of nodes, ascending; may be empty

  const Network& network() const { return model.network; }
  /// The node of site number `index`.
  const Node& site(std::size_t index) const { return model.network.nodes[sites[index]]; }
  /// The number of a node among the sites, or among the attention layers; -1 if it is none of them.
  int site_of(std::size_t node) const { return number_in(sites, node); }
  int attention_of(std::size_t node) const { return number_in(attention, node); }

 private:
  static int number_in(const std::vector<std::size_t>& nodes, std::size_t node) {
    const auto found = std::find(nodes.begin(), nodes.end(), node);
    return found == nodes.end() ? -1 : static_cast<int>(found - nodes.begin());
  }
};

/// The sites that a selection names, in network order: items separated by commas, each a name, else a kind
/// (kind_name()), a pattern in which * stands for any characters and ? for one, or "all": those of the description, or
/// all behind a ReLU where it names none. Kinds and patterns take what stands behind a ReLU. An item behind a '-' takes
/// its own away from those before it. Throws Error for an item that takes none, the name of a node without a ReLU, a
/// name given twice, a blank, or an empty selection.
std::vector<std::size_t> select_sites(const Network& network, std::string_view selection);

/// The attention layers that a selection names: "default", those of the description; "none"; or items as in
/// select_sites(), with its errors and one for a layer of more channels than a map can sum up.
std::vector<std::size_t> select_attention_layers(const Network& network, std::string_view selection);

/// The problem of these selections, which are those of --sites and --attention-layers.
Problem make_problem(QuantizedNetwork model, std::string_view sites = "all",
                     std::string_view attention_layers = "default");

}  // namespace triseg
