#include "network/network.hpp"

#include "core/error.hpp"

#include <algorithm>
#include <array>
#include <sstream>

namespace triseg {
namespace {

Layer conv(std::string name, int in, int out, int kernel, int stride, int padding, int pool, bool batch_norm) {
  Layer layer;
  layer.name = std::move(name);
  layer.in_channels = in;
  layer.out_channels = out;
  layer.kernel = kernel;
  layer.stride = stride;
  layer.padding = padding;
  layer.pool = pool;
  layer.batch_norm = batch_norm;
  return layer;
}

Layer fc(std::string name, int in, int out, double dropout = 0.0) {
  Layer layer;
  layer.name = std::move(name);
  layer.kind = LayerKind::fully_connected;
  layer.in_channels = in;
  layer.out_channels = out;
  layer.dropout = dropout;
  return layer;
}

/// The last layer: no ReLU, never approximated.
Layer logits(std::string name, int in, int out) {
  Layer layer = fc(std::move(name), in, out);
  layer.relu = false;
  layer.site = false;
  return layer;
}

Network alexnet() {
  Network n;
  n.name = "alexnet";
  n.display_name = "AlexNet";
  n.layers = {conv("conv1", 3, 64, 5, 2, 2, 2, true),    conv("conv2", 64, 192, 5, 1, 2, 2, true),
              conv("conv3", 192, 384, 3, 1, 1, 1, true), conv("conv4", 384, 256, 3, 1, 1, 1, true),
              conv("conv5", 256, 256, 3, 1, 1, 2, true), fc("fc1", 1024, 512, 0.5),
              fc("fc2", 512, 256, 0.5),                  logits("fc3", 256, 10)};
  n.attention_layers = {2, 3, 5};
  return n;
}

Network lenet5() {
  Network n;
  n.name = "lenet5";
  n.display_name = "LeNet-5";
  n.layers = {conv("conv1", 3, 6, 5, 1, 0, 2, false), conv("conv2", 6, 16, 5, 1, 0, 2, false), fc("fc1", 400, 120),
              fc("fc2", 120, 84), logits("fc3", 84, 10)};
  n.attention_layers = {0, 1};
  return n;
}

/// Blocks of 3 x 3 convolutions, `depth` of them each, and pooling behind every block; one fully connected layer makes the logits.
Network vgg(std::string name, std::string display_name, const std::array<int, 5>& depth, int attention_conv) {
  Network n;
  n.name = std::move(name);
  n.display_name = std::move(display_name);
  constexpr std::array<int, 5> widths = {64, 128, 256, 512, 512};
  int channels = n.input_channels;
  for (std::size_t block = 0; block < depth.size(); ++block) {
    for (int i = 1; i <= depth[block]; ++i) {
      if (block >= 2 && i == attention_conv) n.attention_layers.push_back(n.layers.size());
      n.layers.push_back(conv(fmt::format("conv{}_{}", block + 1, i), channels, widths[block], 3, 1, 1, i == depth[block] ? 2 : 1, true));
      channels = widths[block];
    }
  }
  n.layers.push_back(logits("fc", channels, n.classes));
  return n;
}

Network vgg16() { return vgg("vgg16", "VGG-16", {2, 2, 3, 3, 3}, 1); }
Network vgg19() { return vgg("vgg19", "VGG-19", {2, 2, 4, 4, 4}, 2); }

/// Fills in the sides and checks that the layers fit each other.
void resolve_shapes(Network& n) {
  int channels = n.input_channels, side = n.input_side;
  for (Layer& layer : n.layers) {
    if (layer.kind == LayerKind::fully_connected) {
      channels *= side * side;
      side = 1;
    }
    if (channels != layer.in_channels)
      fail("network {}: layer {} takes {} channels but gets {}", n.name, layer.name, layer.in_channels, channels);
    layer.in_side = side;
    layer.out_side = (side + 2 * layer.padding - layer.kernel) / layer.stride + 1;
    layer.pooled_side = layer.out_side / layer.pool;
    channels = layer.out_channels;
    side = layer.pooled_side;
  }
}

std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> names;
  std::istringstream stream{std::string(list)};
  for (std::string name; std::getline(stream, name, ',');) names.push_back(name);
  return names;
}

constexpr Network (*descriptions[])() = {alexnet, vgg16, vgg19, lenet5};

}  // namespace

std::vector<std::size_t> Network::sites() const {
  std::vector<std::size_t> result;
  for (std::size_t i = 0; i < layers.size(); ++i)
    if (layers[i].site) result.push_back(i);
  return result;
}

std::size_t Network::channels() const {
  std::size_t sum = 0;
  for (const Layer& layer : layers) sum += layer.out_channels;
  return sum;
}

double Network::macs() const {
  double total = 0;
  for (const Layer& layer : layers) total += double(layer.positions()) * layer.out_channels * layer.fan_in();
  return total;
}

std::vector<std::string> network_names() {
  std::vector<std::string> names;
  for (auto make : descriptions) names.push_back(make().name);
  return names;
}

Network make_network(std::string_view name) {
  for (auto make : descriptions) {
    if (Network n = make(); n.name == name) {
      resolve_shapes(n);
      return n;
    }
  }
  fail("unknown model '{}': expected one of {}", name, fmt::join(network_names(), ", "));
}

std::string_view kind_name(LayerKind kind) { return kind == LayerKind::convolution ? "conv" : "fc"; }

std::string record_key(const Layer& layer) {
  return layer.kind == LayerKind::convolution ? "block_output." + layer.name : "classifier." + layer.name + ".out";
}

std::size_t layer_index(const Network& n, std::string_view name, std::string_view purpose) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < n.layers.size(); ++i) {
    if (n.layers[i].name == name) return i;
    names.push_back(n.layers[i].name);
  }
  fail("{}: {} has no layer '{}': expected one of {}", purpose, n.display_name, name, fmt::join(names, ", "));
}

void select_sites(Network& n, std::string_view selection) {
  if (selection == "all") return;
  std::vector<bool> keep(n.layers.size(), false);
  if (selection == "conv") {
    for (std::size_t i = 0; i < n.layers.size(); ++i) keep[i] = n.layers[i].kind == LayerKind::convolution;
  } else {
    for (const std::string& name : split(selection)) {
      const std::size_t i = layer_index(n, name, "--sites");
      if (!n.layers[i].site) fail("--sites: layer '{}' of {} makes the logits and is never approximated", name, n.display_name);
      if (keep[i]) fail("--sites: '{}' is named twice", name);
      keep[i] = true;
    }
  }
  for (std::size_t i = 0; i < n.layers.size(); ++i) n.layers[i].site = n.layers[i].site && keep[i];
  if (n.sites().empty()) fail("--sites: '{}' selects no site of {}", selection, n.display_name);
}

void select_attention_layers(Network& n, std::string_view selection) {
  if (selection == "default") return;
  n.attention_layers.clear();
  if (selection == "none") return;
  for (const std::string& name : split(selection)) {
    const std::size_t i = layer_index(n, name, "--attention-layers");
    if (!n.layers[i].relu) fail("--attention-layers: layer '{}' of {} makes the logits and has no attention map", name, n.display_name);
    n.attention_layers.push_back(i);
  }
  std::sort(n.attention_layers.begin(), n.attention_layers.end());
  if (std::adjacent_find(n.attention_layers.begin(), n.attention_layers.end()) != n.attention_layers.end())
    fail("--attention-layers: '{}' names a layer twice", selection);
  if (n.attention_layers.empty()) fail("--attention-layers: the list is empty; 'none' turns attention off");
}

}  // namespace triseg
