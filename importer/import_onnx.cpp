#include "importer/import_onnx.hpp"

#include "core/error.hpp"
#include "importer/node_names.hpp"
#include "importer/pass.hpp"
#include "network/problem.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>

namespace triseg {
namespace {

/// What --input may be for an image of this many numbers.
std::string example_of(std::int64_t size) {
  for (const std::int64_t channels : {3, 1})
    for (std::int64_t side = 1; side <= 4096 && channels * side * side <= size; ++side)
      if (channels * side * side == size) return fmt::format("{},{},{}", channels, side, side);
  return "1,28,28";
}

Shape image_shape(const OnnxGraph& graph, const OnnxInput& input, const ImportOptions& options, Order& order) {
  const auto& d = input.dims;
  const auto channels = [](std::int64_t n) { return n == 1 || n == 3 || n == 4; };
  if (d.size() == 2) {
    order = Order::flat_chw;
    if (!options.input)
      fail("{}: input {} is flat; give channels, height and width of the image, as --input {}", graph.file, input.name,
           example_of(d[1]));
    if (d[1] > 0 && d[1] != options.input->size())
      fail("{}: input {} has {} numbers; --input says {} x {} x {}", graph.file, input.name, d[1],
           options.input->channels, options.input->height, options.input->width);
    return *options.input;
  }
  if (d.size() != 4)
    fail("{}: input {} has {} axes; expected an image (N, C, H, W), (N, H, W, C) or (N, size)", graph.file, input.name,
         d.size());
  const bool last = options.layout == ImageLayout::nhwc ||
                    (options.layout == ImageLayout::automatic && !channels(d[1]) && channels(d[3]));
  order = last ? Order::nhwc : Order::nchw;
  const std::size_t axes[3] = {last ? 3u : 1u, last ? 1u : 2u, last ? 2u : 3u};
  int sizes[3];
  for (int i = 0; i < 3; ++i) {
    const int given = !options.input ? -1
                      : i == 0       ? options.input->channels
                      : i == 1       ? options.input->height
                                     : options.input->width;
    const std::int64_t found = d[axes[i]];
    if (found < 0 && given < 0)
      fail("{}: input {}: its size along axis {} is not known; give it with --input", graph.file, input.name, axes[i]);
    if (found > 0 && given > 0 && found != given)
      fail("{}: input {} has size {} along axis {}; --input says {}", graph.file, input.name, found, axes[i], given);
    sizes[i] = int(std::min<std::int64_t>(found > 0 ? found : given, 1 << 16));
  }
  return {sizes[0], sizes[1], sizes[2]};
}

std::vector<double> for_channels(const OnnxGraph& graph, const std::vector<double>& given, int channels) {
  if (given.size() == 1) return std::vector<double>(channels, given[0]);
  if (int(given.size()) != channels)
    fail("{}: --preprocessing has numbers for {} channels; the image has {}", graph.file, given.size(), channels);
  return given;
}

/// Keeps what the output depends on; the output's node becomes the last.
void prune(QuantizedNetwork& n, int output) {
  std::vector<int> number(n.nodes.size(), -1);
  std::vector<bool> needed(n.nodes.size());
  needed[output] = true;
  for (int i = output; i >= 0; --i)
    if (needed[i])
      for (const int input : n.network.nodes[i].inputs)
        if (input != image_value) needed[input] = true;
  std::vector<Node> nodes;
  std::vector<QuantizedNode> numbers;
  for (int i = 0; i <= output; ++i) {
    if (!needed[i]) continue;
    number[i] = int(nodes.size());
    nodes.push_back(std::move(n.network.nodes[i]));
    for (int& input : nodes.back().inputs)
      if (input != image_value) input = number[input];
    numbers.push_back(std::move(n.nodes[i]));
  }
  n.network.nodes = std::move(nodes);
  n.nodes = std::move(numbers);
}

std::vector<std::string> last_of_resolutions(const Network& n) {
  std::map<std::pair<int, int>, std::size_t> last;
  for (std::size_t i = 0; i + 1 < n.nodes.size(); ++i)
    if (n.nodes[i].relu) last[{n.nodes[i].shape.height, n.nodes[i].shape.width}] = i;
  std::vector<std::size_t> found;
  for (const auto& [resolution, node] : last) found.push_back(node);
  std::sort(found.begin(), found.end());
  std::vector<std::string> names;
  for (std::size_t i = found.size() > 3 ? found.size() - 3 : 0; i < found.size(); ++i)
    names.push_back(n.nodes[found[i]].name);
  return names;
}

Scheme scheme_of(const QuantizedNetwork& n) {
  for (const QuantizedNode& node : n.nodes)
    for (const double scale : node.weight_scale)
      if (scale != node.weight_scale.front()) return Scheme::fbgemm;
  return Scheme::qnnpack;
}

std::string default_name(const std::string& path) {
  OnnxNode node;
  node.name = std::filesystem::path(path).stem().string();
  return node_name(node);
}

}  // namespace

Imported import_onnx(const std::string& path, const ImportOptions& options) {
  OnnxGraph graph = read_onnx(path, options.output);
  if (graph.inputs.size() != 1)
    fail("{}: its output '{}' depends on {} inputs; expected one, the image", path, graph.output, graph.inputs.size());
  Pass pass(graph);
  pass.check_operators();
  Builder& builder = pass.builder();
  QuantizedNetwork& n = builder.network;
  const OnnxInput& input = graph.inputs.front();
  Activation image;
  image.shape = image_shape(graph, input, options, image.order);
  image.dims = image.order == Order::nhwc
                   ? std::vector<std::int64_t>{1, image.shape.height, image.shape.width, image.shape.channels}
               : image.order == Order::nchw
                   ? std::vector<std::int64_t>{1, image.shape.channels, image.shape.height, image.shape.width}
                   : std::vector<std::int64_t>{1, image.shape.size()};
  image.factor.assign(image.shape.channels, 1);
  image.offset.assign(image.shape.channels, 0);
  image.codes = input.type == OnnxTensor::Type::uint8;
  if (!image.codes && input.type != OnnxTensor::Type::real)
    fail("{}: input {} has an element type that cannot be imported; expected float or uint8", path, input.name);
  n.network.name = options.name.empty() ? default_name(path) : options.name;
  n.network.display_name = n.network.name;
  n.network.input = image.shape;
  if (options.mean.empty() && !image.codes)
    fail(
        "{}: --preprocessing is missing: how pixels become the numbers that the graph takes; expected imagenet, "
        "cifar10, 0..1, 0..255 or MEAN/DEVIATION",
        path);
  // Integers are pixels: their scale says what they stand for.
  n.mean = image.codes ? std::vector<double>(image.shape.channels, 0)
                       : for_channels(graph, options.mean, image.shape.channels);
  n.standard_deviation = image.codes ? std::vector<double>(image.shape.channels, 1)
                                     : for_channels(graph, options.deviation, image.shape.channels);
  pass.start(input.name, std::move(image), input.dims.front());
  pass.run();
  prune(n, pass.output(graph.output).value);
  n.network.nodes.back().relu = false;
  n.network.classes = n.network.nodes.back().shape.size();
  n.scheme = scheme_of(n);
  connect(n.network);
  n.network.default_attention = last_of_resolutions(n.network);
  if (options.attention_layers != "default") {
    std::vector<std::string> names;
    for (const std::size_t node : select_attention_layers(n.network, options.attention_layers))
      names.push_back(n.network.nodes[node].name);
    n.network.default_attention = std::move(names);
  }
  connect(n.network);
  try {
    check(n);
  } catch (const Error& error) {
    fail("{}: {}", path, error.what());
  }
  return {std::move(n), std::move(builder.notes)};
}

namespace {

std::vector<double> numbers(const std::string& text, const std::string& whole) {
  std::vector<double> result;
  std::size_t at = 0;
  while (at <= text.size()) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string word = text.substr(at, end - at);
    char* rest = nullptr;
    const double x = std::strtod(word.c_str(), &rest);
    if (word.empty() || *rest != 0 || !(x > -1e30 && x < 1e30))
      fail(
          "--preprocessing {}: expected imagenet, cifar10, 0..1, 0..255 or MEAN/DEVIATION, numbers separated by "
          "commas; found '{}'",
          whole, word);
    result.push_back(x);
    at = end + 1;
  }
  return result;
}

}  // namespace

void set_preprocessing(ImportOptions& options, const std::string& text) {
  if (text == "0..1") options.mean = {0}, options.deviation = {1};
  else if (text == "0..255") options.mean = {0}, options.deviation = {1.0 / 255};
  else if (text == "imagenet") options.mean = {0.485, 0.456, 0.406}, options.deviation = {0.229, 0.224, 0.225};
  else if (text == "cifar10") options.mean = {0.4914, 0.4822, 0.4465}, options.deviation = {0.2470, 0.2435, 0.2616};
  else {
    const std::size_t slash = text.find('/');
    options.mean = numbers(text.substr(0, slash), text);
    options.deviation = numbers(slash == std::string::npos ? "" : text.substr(slash + 1), text);
    for (const double deviation : options.deviation)
      if (!(deviation > 0)) fail("--preprocessing {}: expected deviations above 0", text);
  }
}

}  // namespace triseg
