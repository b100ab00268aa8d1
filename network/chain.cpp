#include "network/chain.hpp"

#include "core/error.hpp"

namespace triseg {
namespace {

/// Puts a node behind the last one.
void append(Network& n, Node node) {
  node.inputs = {static_cast<int>(n.nodes.size()) - 1};
  n.nodes.push_back(std::move(node));
  connect_node(n, n.nodes.size() - 1);
}

}  // namespace

std::string pool_name(const std::string& layer) { return layer + ".pool"; }

void append_layer(Network& n, const ChainLayer& layer) {
  const auto bad = [&](std::string_view what) { fail("network {}: layer {}: {}", n.name, layer.name, what); };
  const Shape before = n.shape(static_cast<int>(n.nodes.size()) - 1);
  if (layer.fully_connected && (layer.kernel != 1 || layer.stride != 1 || layer.padding != 0 || layer.pool != 1))
    bad("a fully connected layer has kernel, stride and pool 1 and no padding");
  const int given = layer.fully_connected ? before.size() : before.channels;
  if (layer.in_channels != given) bad(fmt::format("takes {} channels but gets {}", layer.in_channels, given));

  Node product;
  product.name = layer.name;
  product.relu = layer.relu;
  product.shape.channels = layer.out_channels;
  Window& window = product.window;
  if (layer.fully_connected) {
    window.height = before.height;
    window.width = before.width;
  } else {
    window.height = window.width = layer.kernel;
    window.stride_y = window.stride_x = layer.stride;
    window.pad_top = window.pad_left = window.pad_bottom = window.pad_right = layer.padding;
  }
  append(n, std::move(product));
  if (layer.pool == 1) return;
  Node pool;
  pool.name = pool_name(layer.name);
  pool.operation = Operation::maximum;
  pool.window.height = pool.window.width = pool.window.stride_y = pool.window.stride_x = layer.pool;
  append(n, std::move(pool));
}

}  // namespace triseg
