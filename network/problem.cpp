#include "network/problem.hpp"

#include "core/error.hpp"

#include <algorithm>
#include <sstream>
#include <string>

namespace triseg {
namespace {

/// The layers that a list may name, those with a ReLU.
std::string nameable(const Network& n) {
  std::string names;
  for (const Layer& layer : n.layers)
    if (layer.relu) names += (names.empty() ? "" : ", ") + layer.name;
  return names;
}

/// Indices of the layers that a list names, ascending. what: what a layer without a ReLU cannot be.
std::vector<std::size_t> named_layers(const Network& n, std::string_view list, std::string_view option,
                                      std::string_view what) {
  std::vector<std::size_t> indices;
  if (list.ends_with(',') || list.find_first_of(" \t\n") != list.npos)
    fail("{}: '{}': expected names separated by commas, without blanks and without a comma at the end", option, list);
  std::istringstream stream{std::string(list)};
  for (std::string name; std::getline(stream, name, ',');) {
    const auto layer = std::find_if(n.layers.begin(), n.layers.end(), [&](const Layer& l) { return l.name == name; });
    if (layer == n.layers.end())
      fail("{}: {} has no layer '{}': expected names from {}", option, n.display_name, name, nameable(n));
    if (!layer->relu)
      fail("{}: layer '{}' of {} makes the logits and {}: expected names from {}", option, name, n.display_name, what,
           nameable(n));
    const auto i = static_cast<std::size_t>(layer - n.layers.begin());
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
