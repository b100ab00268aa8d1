#include "network/network.hpp"

#include "core/error.hpp"
#include "core/text.hpp"

#include <algorithm>
#include <cstdint>
#include <set>

namespace triseg {
namespace {

constexpr int largest_side = 4096, largest_channels = 1 << 20;
/// The most elements of an image at any layer, and of the weights of an output channel: far from the limits of an int.
constexpr std::int64_t most_elements = 1 << 28;

/// Names of networks become names of files, names of layers keys and items of lists.
void check_name(std::string_view what, const std::string& name) {
  const bool usable = !name.empty() && name.size() <= 200 && name != "." && name != ".." && valid_utf8(name) == name &&
                      std::none_of(name.begin(), name.end(),
                                   [](unsigned char c) { return c < 32 || c == 127 || c == '/' || c == ','; });
  if (!usable) fail("{} {:?}: expected UTF-8 without '/', ',' and control characters", what, valid_utf8(name));
}

void check_layer_name(const Network& n, const std::string& name) {
  check_name(fmt::format("network {}: layer name", n.name), name);
  for (const char* selection : {"all", "conv", "none", "default"})
    if (name == selection)
      fail("network {}: layer name '{}': expected another: --sites or --attention-layers means something else by it",
           n.name, name);
}

void connect_layer(const Network& n, Layer& layer, std::int64_t& channels, int& side) {
  const auto bad = [&](std::string_view what) { fail("network {}: layer {}: {}", n.name, layer.name, what); };
  if (layer.kind == LayerKind::fully_connected) {
    channels *= std::int64_t(side) * side;
    side = 1;
    if (layer.kernel != 1 || layer.stride != 1 || layer.padding != 0 || layer.pool != 1)
      bad("a fully connected layer has kernel, stride and pool 1 and no padding");
  }
  if (channels != layer.in_channels) bad(fmt::format("takes {} channels but gets {}", layer.in_channels, channels));
  if (layer.out_channels < 1 || layer.out_channels > largest_channels)
    bad(fmt::format("{} output channels: expected 1 to {}", layer.out_channels, largest_channels));
  if (layer.kernel < 1 || layer.stride < 1 || layer.pool < 1 || layer.padding < 0 ||
      layer.padding >= std::max(layer.kernel, 2) || layer.kernel > side + 2 * layer.padding ||
      layer.stride > largest_side)
    bad(fmt::format("kernel {}, stride {}, padding {} and pool {} do not fit an input of {} x {}", layer.kernel,
                    layer.stride, layer.padding, layer.pool, side, side));
  layer.in_side = side;
  layer.out_side = (side + 2 * layer.padding - layer.kernel) / layer.stride + 1;
  if (std::int64_t(layer.in_channels) * layer.kernel * layer.kernel > most_elements ||
      std::int64_t(layer.out_channels) * layer.out_side * layer.out_side > most_elements)
    bad(fmt::format("{} output channels of {} x {} and {} weights each: more than {}", layer.out_channels,
                    layer.out_side, layer.out_side, std::int64_t(layer.in_channels) * layer.kernel * layer.kernel,
                    most_elements));
  if (layer.pool > layer.out_side)
    bad(fmt::format("pooling by {} of {} x {} leaves nothing", layer.pool, layer.out_side, layer.out_side));
  layer.pooled_side = layer.out_side / layer.pool;
  channels = layer.out_channels;
  side = layer.pooled_side;
}

}  // namespace

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

void connect(Network& n) {
  check_name("network name", n.name);
  if (n.input_channels < 1 || n.input_channels > 1024 || n.input_side < 1 || n.input_side > largest_side ||
      std::int64_t(n.input_channels) * n.input_side * n.input_side > most_elements || n.classes < 1)
    fail(
        "network {}: an input of {} x {} x {} and {} classes: expected sizes of at least 1 and no more elements than "
        "{}",
        n.name, n.input_channels, n.input_side, n.input_side, n.classes, most_elements);
  if (n.layers.empty()) fail("network {}: expected at least one layer", n.name);
  std::set<std::string> names;
  std::int64_t channels = n.input_channels;
  int side = n.input_side;
  for (Layer& layer : n.layers) {
    check_layer_name(n, layer.name);
    if (!names.insert(layer.name).second) fail("network {}: two layers are called '{}'", n.name, layer.name);
    connect_layer(n, layer, channels, side);
    if (layer.relu == (&layer == &n.layers.back()))
      fail("network {}: layer {}: expected a ReLU behind every layer but the last", n.name, layer.name);
  }
  channels *= std::int64_t(side) * side;
  if (channels != n.classes) fail("network {}: makes {} logits for {} classes", n.name, channels, n.classes);
  for (const std::string& name : n.default_attention)
    if (!n.layers[layer_index(n, name, "default attention layers")].relu)
      fail("network {}: attention layer {} makes the logits", n.name, name);
}

std::string_view kind_name(LayerKind kind) { return kind == LayerKind::convolution ? "conv" : "fc"; }

LayerKind parse_kind(std::string_view name) {
  for (LayerKind kind : {LayerKind::convolution, LayerKind::fully_connected})
    if (name == kind_name(kind)) return kind;
  fail("unknown kind of layer '{}': expected conv or fc", name);
}

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

}  // namespace triseg
