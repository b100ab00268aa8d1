#include "importer/builder.hpp"

#include "importer/node_names.hpp"
#include "importer/weights.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

namespace triseg {

float Tail::operator()(const CodeScale& scale, int code) const {
  const float y = reals.empty() ? float(scale.scale) * float(code - scale.zero_point) : reals[code];
  return static_cast<float>(std::min(std::max(double(y), lower), upper));
}

Tail Tail::then(const CodeScale& scale, const std::function<float(float)>& f) const {
  Tail result;
  result.factor = 0;
  for (int q = 0; q < 256; ++q) result.reals.push_back(f((*this)(scale, q)));
  return result;
}

namespace {

/// Codes of a value: how ONNX's become ours, and their bounds.
struct Codes {
  CodeScale scale;
  int lowest = 0, highest = 255;
  bool relu = false;
};

/// The code of a bound, which may be infinite.
int bound(double real, const OnnxScale& scale) {
  const double code = std::nearbyint(double(float(real) / float(scale.scale))) + scale.zero_point;
  return static_cast<int>(std::clamp(code, double(scale.lowest), double(scale.highest)));
}

Codes codes_of(const OnnxScale& scale, const Tail& bounds, bool relu, bool nonnegative) {
  Codes result;
  int lowest = bound(bounds.lower, scale), highest = bound(bounds.upper, scale);
  result.relu = relu;
  if (relu || nonnegative) lowest = scale.zero_point;
  const int shift = relu || nonnegative ? -scale.zero_point : -scale.lowest;
  // Signed codes of fewer than 8 bits may be narrow: 8-bit ones keep their 128.
  result.scale = {scale.scale, scale.zero_point + shift};
  result.lowest = lowest + shift;
  result.highest = std::max(highest, lowest) + shift;
  return result;
}

std::uint8_t code(float real, const Codes& to) {
  const double q = std::nearbyint(double(real / float(to.scale.scale))) + to.scale.zero_point;
  return static_cast<std::uint8_t>(std::clamp(q, double(to.lowest), double(to.highest)));
}

CodeMap map_of(const CodeScale& from, const Tail& tail, const Codes& to) {
  CodeMap map{};
  for (int q = 0; q < 256; ++q) map[q] = code(tail(from, q), to);
  return map;
}

}  // namespace

bool Builder::nonnegative(int value) const {
  if (value == image_value) return false;
  return network.nodes[value].lowest >= network.nodes[value].output.zero_point;
}

Shape Builder::shape_of(const OnnxNode& at, const Node& node, const std::vector<Node>& pools) {
  std::vector<Node>& nodes = network.network.nodes;
  const std::size_t before = nodes.size();
  nodes.push_back(node);
  for (const Node& pool : pools) {
    nodes.push_back(pool);
    nodes.back().inputs = {static_cast<int>(nodes.size()) - 2};
  }
  Shape shape;
  try {
    for (std::size_t i = before; i < nodes.size(); ++i) {
      nodes[i].name = "it";
      connect_node(network.network, i);
    }
    shape = nodes.back().shape;
  } catch (const Error& error) {
    nodes.resize(before);
    const std::string what = error.what();
    const std::size_t start = what.find(": node it: ");
    graph_.refuse(at, "{}", start == std::string::npos ? what : what.substr(start + 11));
  }
  nodes.resize(before);
  return shape;
}

int Builder::add(const OnnxNode& at, Node node, QuantizedNode numbers, const OnnxScale& scale,
                 const std::vector<std::string>& sources) {
  const Shape shape = shape_of(at, node);
  node.shape = shape;
  node.name = unique_name(node.name, names_);
  const std::string operation(operation_name(node.operation));
  const std::string made_of = sources.empty() ? label(at) : fmt::format("{}", fmt::join(sources, ", "));
  notes.push_back(fmt::format("{} -> {}: {}{}, {} x {} x {}, codes {}..{}, scale {:.6g}, zero point {}", made_of,
                              node.name, operation, node.relu ? " with ReLU" : "", shape.channels, shape.height,
                              shape.width, numbers.lowest, numbers.highest, numbers.output.scale,
                              numbers.output.zero_point));
  network.network.nodes.push_back(std::move(node));
  network.nodes.push_back(std::move(numbers));
  scales_.push_back(scale);
  return static_cast<int>(network.nodes.size()) - 1;
}

int Builder::add_maximum(const OnnxNode& at, Node node, int value) {
  if (value == image_value && !image_quantized_) graph_.refuse(at, "its input is not quantized");
  node.name = node_name(at);
  node.inputs = {value};
  QuantizedNode numbers;
  numbers.output = network.scale(value);
  if (value != image_value) {
    numbers.lowest = network.nodes[value].lowest;
    numbers.highest = network.nodes[value].highest;
  }
  return add(at, std::move(node), std::move(numbers), OnnxScale(scale_of(value)));
}

Activation Builder::select(const OnnxNode& at, Activation x) {
  const auto [found, added] = selected_.try_emplace({x.value, x.channels}, 0);
  if (added) {
    const int inputs = network.network.shape(x.value).channels;
    const std::size_t outputs = x.channels.size();
    if (outputs * inputs > std::size_t{1} << 26)
      graph_.refuse(at, "reads {} of {} channels, which makes too large a convolution", outputs, inputs);
    Node node;
    node.operation = Operation::convolution;
    node.name = node_name(at) + ".channels";
    node.inputs = {x.value};
    node.shape.channels = static_cast<int>(outputs);
    QuantizedNode numbers;
    numbers.output = network.scale(x.value);
    if (x.value != image_value) {
      numbers.lowest = network.nodes[x.value].lowest;
      numbers.highest = network.nodes[x.value].highest;
    }
    numbers.weights.assign(outputs * inputs, 0);
    for (std::size_t i = 0; i < outputs; ++i) numbers.weights[i * inputs + x.channels[i]] = 1;
    numbers.weight_scale.assign(outputs, 1);
    numbers.requantization.bias.assign(outputs, 0);
    numbers.requantization.multiplier.assign(outputs, 1);
    found->second = add(at, std::move(node), std::move(numbers), OnnxScale(scale_of(x.value)));
  }
  x.value = found->second;
  x.channels.clear();
  x.sole = false;
  return x;
}

int Builder::add_constant(const OnnxNode& at, const Shape& shape, std::vector<std::uint8_t> codes,
                          const CodeScale& scale) {
  Node node;
  node.operation = Operation::constant;
  node.shape = shape;
  node.name = node_name(at) + ".constant";
  QuantizedNode numbers;
  numbers.output = scale;
  numbers.codes = std::move(codes);
  return add(at, std::move(node), std::move(numbers), {scale.scale, scale.zero_point, 0, 255});
}

void Builder::quantize_image(const OnnxNode& at, const Activation& input, const OnnxScale& scale) {
  if (image_quantized_) {
    if (scale_of(image_value) != scale)
      graph_.refuse(at, "quantizes the image by another scale than an earlier node; use one");
    if (input.factor != image_factor_ || input.offset != image_offset_)
      graph_.refuse(at, "quantizes the image with another normalization than an earlier node; use one");
    return;
  }
  image_factor_ = input.factor;
  image_offset_ = input.offset;
  image_quantized_ = true;
  scales_[0] = scale;
  network.input = {scale.scale, scale.zero_point - scale.lowest};
  // The graph's own normalization, factor * x + offset with x = (pixel / 255 - mean) / deviation, becomes the
  // network's.
  for (std::size_t c = 0; c < input.factor.size(); ++c) {
    if (!(input.factor[c] > 0)) graph_.refuse(at, "the image is multiplied by a number that is not positive");
    double &mean = network.mean[c], &deviation = network.standard_deviation[c];
    mean -= input.offset[c] * deviation / input.factor[c];
    deviation /= input.factor[c];
  }
  // The INT8 contract has no bound of the image's codes but 255.
  for (std::size_t c = 0; c < input.factor.size(); ++c)
    for (const int code : input_codes(network, static_cast<int>(c)))
      if (code > scale.highest - scale.lowest)
        graph_.refuse(at, "clips bright pixels to {} codes; quantize the image to 256",
                      scale.highest - scale.lowest + 1);
}

Activation Builder::start_from_codes(const OnnxNode& at, Activation image, const OnnxScale& scale) {
  if (scale.lowest != 0) graph_.refuse(at, "reads the image as int8; expected uint8, as pixels are");
  image_quantized_ = true;
  scales_[0] = scale;
  network.input = {scale.scale, scale.zero_point};
  for (double& mean : network.mean) mean = scale.zero_point / 255.0;
  for (double& deviation : network.standard_deviation) deviation = 1 / (255 * scale.scale);
  notes.push_back("The image comes as integers: pixels are its codes, and --preprocessing is not used");
  image.kind = Activation::Kind::value;
  image.value = image_value;
  image.codes = true;
  return image;
}

bool Builder::folds(const Activation& input, const OnnxScale& scale) const {
  if (input.value == image_value || !input.tail.reals.empty() || scale_of(input.value) != scale) return false;
  const Operation operation = network.network.nodes[input.value].operation;
  if (operation == Operation::maximum || operation == Operation::constant) return false;
  return input.sole && input.tail.lower == 0;
}

void Builder::fold_bounds(const Activation& input, const OnnxScale& scale) {
  QuantizedNode& numbers = network.nodes[input.value];
  const Codes codes = codes_of(scale, input.tail, true, false);
  const int shift = -numbers.output.zero_point;
  numbers.output = codes.scale;
  numbers.lowest = 0;
  numbers.highest = std::max(0, std::min(numbers.highest + shift, codes.highest));
  for (CodeMap& map : numbers.maps)
    for (std::uint8_t& q : map) q = static_cast<std::uint8_t>(std::clamp(q + shift, numbers.lowest, numbers.highest));
  Node& node = network.network.nodes[input.value];
  node.relu = true;
  notes.push_back(
      fmt::format("{} -> {}: its ReLU, codes 0..{}", fmt::join(input.sources, ", "), node.name, numbers.highest));
  // Copies of codes need maps once zero points differ.
  if (node.operation == Operation::concatenate && numbers.maps.empty())
    for (const int part : node.inputs) numbers.maps.push_back(map_of(network.scale(part), {}, codes));
}

int Builder::add_table(const OnnxNode& at, const Activation& input, const OnnxScale& scale) {
  const bool relu = input.tail.lower == 0;
  const bool keeps_sign = input.tail.factor > 0 && nonnegative(input.value);
  const Codes codes = codes_of(scale, input.tail, relu, keeps_sign);
  Node node;
  node.operation = Operation::table;
  node.inputs = {input.value};
  node.relu = relu;
  node.name = node_name(at);
  QuantizedNode numbers;
  numbers.output = codes.scale;
  numbers.lowest = codes.lowest;
  numbers.highest = codes.highest;
  numbers.maps = {map_of(network.scale(input.value), input.tail, codes)};
  return add(at, std::move(node), std::move(numbers), scale, input.sources);
}

void Builder::finish_convolution(const OnnxNode& at, const Draft& draft, QuantizedNode& numbers, int input) const {
  const double s_in = network.scale(input).scale, s_out = numbers.output.scale;
  const std::size_t channels = numbers.weight_scale.size(), fan_in = numbers.weights.size() / channels;
  if (!numbers.requantization.multiplier.empty()) {  // of thresholds
    for (std::size_t c = 0; c < channels; ++c)
      numbers.weight_scale[c] = double(numbers.requantization.multiplier[c]) * s_out / s_in;
    return;
  }
  double largest = 0;
  for (const double s : numbers.weight_scale) largest = std::max(largest, s);
  for (std::size_t c = 0; c < channels; ++c) {
    double bias = draft.bias.empty() ? 0 : draft.bias[c];
    // A channel without weights may have any scale; some tools give it one that is too small for a multiplier.
    const auto* first = numbers.weights.data() + c * fan_in;
    if (std::all_of(first, first + fan_in, [](std::int8_t w) { return w == 0; }) &&
        numbers.weight_scale[c] < largest * 1e-6) {
      bias *= numbers.weight_scale[c] / largest;
      numbers.weight_scale[c] = largest;
    }
    bias = std::nearbyint(bias);
    if (!(std::abs(bias) <= std::numeric_limits<std::int32_t>::max()))
      graph_.refuse(at, "the bias of channel {} does not fit 32 bits beside its weights' scale {}", c,
                    numbers.weight_scale[c]);
    numbers.requantization.bias.push_back(static_cast<std::int32_t>(bias));
    const float multiplier = float(s_in) * float(numbers.weight_scale[c]) / float(s_out);
    const double scale = double(multiplier) * s_out / s_in;
    if (multiplier > 0 && static_cast<float>(s_in * scale / s_out) == multiplier) numbers.weight_scale[c] = scale;
    numbers.requantization.multiplier.push_back(static_cast<float>(s_in * numbers.weight_scale[c] / s_out));
  }
}

int Builder::finish(const OnnxNode& at, Draft& draft, const OnnxScale& scale, const std::vector<std::string>& sources) {
  Node node = draft.node;
  const bool relu = draft.tail.lower == 0 || (draft.may_fold_relu && scale.zero_point == scale.lowest);
  bool keeps_sign = node.operation != Operation::convolution;
  if (keeps_sign) {
    for (std::size_t i = 0; i < node.inputs.size(); ++i)
      keeps_sign = keeps_sign && ((nonnegative(node.inputs[i]) && (draft.tails.empty() || draft.tails[i].factor > 0)) ||
                                  (!draft.tails.empty() && draft.tails[i].lower >= 0));
  }
  // Values that are never negative make no new ReLU.
  const bool folded = relu && !(keeps_sign && draft.tail.lower != 0);
  const Codes codes = codes_of(scale, draft.tail, folded, keeps_sign);
  if (draft.one_weight) {
    const int value = node.inputs.front();
    const CodeScale& in = network.scale(value);
    const int least = value == image_value ? 0 : network.nodes[value].lowest;
    const int most = value == image_value ? 255 : network.nodes[value].highest;
    const int missed = fit_codes(draft, in.scale, least - in.zero_point, most - in.zero_point, codes.scale,
                                 codes.lowest, codes.highest);
    if (missed > 0)
      notes.push_back(fmt::format("{}: {} of the codes that its channels can have are one apart from the file's",
                                  label(at), missed));
  }
  QuantizedNode numbers = std::move(draft.numbers);
  node.relu = codes.relu;
  numbers.output = codes.scale;
  numbers.lowest = codes.lowest;
  numbers.highest = codes.highest;
  if (node.operation == Operation::convolution) finish_convolution(at, draft, numbers, node.inputs.front());
  if (node.operation == Operation::concatenate) {
    bool copies = true;
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      const int input = node.inputs[i];
      const int least = input == image_value ? 0 : network.nodes[input].lowest;
      const int most = input == image_value ? 255 : network.nodes[input].highest;
      copies = copies && draft.tails[i].plain() && network.scale(input) == numbers.output && least >= numbers.lowest &&
               most <= numbers.highest;
      numbers.maps.push_back(map_of(network.scale(input), draft.tails[i], codes));
    }
    if (copies) numbers.maps.clear();
  }
  int value = add(at, std::move(node), std::move(numbers), scale, sources);
  for (Node pool : draft.pools) {
    pool.inputs = {value};
    QuantizedNode same;
    same.output = network.nodes[value].output;
    same.lowest = network.nodes[value].lowest;
    same.highest = network.nodes[value].highest;
    value = add(at, std::move(pool), std::move(same), scale);
  }
  return value;
}

Activation Builder::quantize(const OnnxNode& at, Activation input, const OnnxScale& scale, bool sole) {
  if (input.codes) graph_.refuse(at, "quantizes what is quantized already");
  if (input.ended) return input;
  switch (input.kind) {
    case Activation::Kind::image:
      quantize_image(at, input, scale);
      input.value = image_value;
      break;
    case Activation::Kind::value: {
      const bool nothing = input.tail.plain() ||
                           (input.tail.reals.empty() && input.tail.lower == 0 && input.tail.upper == Tail().upper &&
                            nonnegative(input.value) && network.network.nodes[input.value].relu);
      if (nothing && scale_of(input.value) == scale) {
        sole = sole && input.sole;
        break;
      }
      if (folds(input, scale)) fold_bounds(input, scale);
      else input.value = add_table(at, input, scale);
      break;
    }
    case Activation::Kind::draft:
      input.value = finish(at, input.draft, scale, input.sources);
      input.draft = {};
      break;
  }
  input.kind = Activation::Kind::value;
  input.tail = {};
  input.codes = true;
  input.sole = sole;
  input.sources.clear();
  input.factor.clear();
  input.offset.clear();
  return input;
}

}  // namespace triseg
