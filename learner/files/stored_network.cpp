#include "learner/files/stored_network.hpp"

#include "core/error.hpp"

#include <algorithm>

namespace triseg {

namespace {

constexpr std::int32_t no_input = -2;

}  // namespace

InputColumns input_columns(const Network& n) {
  InputColumns columns;
  for (const Node& node : n.nodes) columns.most = std::max(columns.most, node.inputs.size());
  for (const Node& node : n.nodes) {
    columns.values.insert(columns.values.end(), node.inputs.begin(), node.inputs.end());
    columns.values.resize(columns.values.size() + columns.most - node.inputs.size(), no_input);
  }
  return columns;
}

void set_inputs(Network& n, std::span<const std::int32_t> values) {
  const std::size_t most = n.nodes.empty() ? 0 : values.size() / n.nodes.size();
  for (std::size_t i = 0; i < n.nodes.size(); ++i) {
    const auto row = values.subspan(i * most, most);
    const auto end = std::find(row.begin(), row.end(), no_input);
    n.nodes[i].inputs.assign(row.begin(), end);
    if (std::any_of(end, row.end(), [](std::int32_t input) { return input != no_input; }))
      fail("inputs of node {}: expected {} behind the last of a row", i, no_input);
  }
}

void connect_stored(Network& n) {
  const std::vector<Node> stored = n.nodes;
  connect(n);
  for (std::size_t i = 0; i < stored.size(); ++i) {
    const Shape &found = stored[i].shape, &made = n.nodes[i].shape;
    if (found != made)
      fail("network {}: node {}: it is said to make {} x {} x {}, but makes {} x {} x {}", n.name, n.nodes[i].name,
           found.channels, found.height, found.width, made.channels, made.height, made.width);
  }
}

std::vector<ChainLayer> chain_layers(const std::vector<std::string>& names, const std::vector<std::string>& kinds) {
  if (kinds.size() != names.size()) fail("/network/kind: expected {} kinds, found {}", names.size(), kinds.size());
  std::vector<ChainLayer> layers(names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (kinds[i] != "conv" && kinds[i] != "fc") fail("unknown kind of layer '{}': expected conv or fc", kinds[i]);
    layers[i].name = names[i];
    layers[i].fully_connected = kinds[i] == "fc";
  }
  return layers;
}

void connect_chain(Network& n, std::span<const ChainLayer> layers) {
  for (const ChainLayer& layer : layers) append_layer(n, layer);
  connect(n);
}

}  // namespace triseg
