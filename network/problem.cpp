#include "network/problem.hpp"

#include "core/error.hpp"

#include <algorithm>
#include <sstream>
#include <string>

namespace triseg {
namespace {

/// Indices of the layers that a list names, ascending. what: what a layer without a ReLU cannot be.
std::vector<std::size_t> named_layers(const Network& n, std::string_view list, std::string_view option,
                                      std::string_view what) {
  std::vector<std::size_t> indices;
  std::istringstream stream{std::string(list)};
  for (std::string name; std::getline(stream, name, ',');) {
    const std::size_t i = layer_index(n, name, option);
    if (!n.layers[i].relu) fail("{}: layer '{}' of {} makes the logits and {}", option, name, n.display_name, what);
    if (std::find(indices.begin(), indices.end(), i) != indices.end()) fail("{}: '{}' is named twice", option, name);
    indices.push_back(i);
  }
  std::sort(indices.begin(), indices.end());
  return indices;
}

}  // namespace

std::vector<std::size_t> select_sites(const Network& n, std::string_view selection) {
  std::vector<std::size_t> sites;
  if (selection == "all" || selection == "conv") {
    for (std::size_t i = 0; i < n.layers.size(); ++i)
      if (n.layers[i].relu && (selection == "all" || n.layers[i].kind == LayerKind::convolution)) sites.push_back(i);
  } else {
    sites = named_layers(n, selection, "--sites", "is never approximated");
  }
  if (sites.empty()) fail("--sites: '{}' selects no site of {}", selection, n.display_name);
  return sites;
}

std::vector<std::size_t> select_attention_layers(const Network& n, std::string_view selection) {
  if (selection == "none") return {};
  if (selection == "default") {
    if (n.default_attention.empty()) return {};
    return named_layers(n, fmt::format("{}", fmt::join(n.default_attention, ",")), "--attention-layers",
                        "has no attention map");
  }
  const auto layers = named_layers(n, selection, "--attention-layers", "has no attention map");
  if (layers.empty()) fail("--attention-layers: the list is empty; 'none' turns attention off");
  return layers;
}

Problem make_problem(QuantizedNetwork model, std::string_view sites, std::string_view attention_layers) {
  Problem problem{std::move(model), {}, {}};
  problem.sites = select_sites(problem.network(), sites);
  problem.attention = select_attention_layers(problem.network(), attention_layers);
  return problem;
}

}  // namespace triseg
