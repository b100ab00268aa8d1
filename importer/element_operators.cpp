#include "importer/node_names.hpp"
#include "importer/pass.hpp"
#include "importer/weights.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace triseg {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

bool is_sub(const OnnxNode& node) { return node.operation == "Sub"; }
bool is_div(const OnnxNode& node) { return node.operation == "Div"; }

/// The function of a node, in float32.
std::function<float(float)> function_of(const OnnxGraph& graph, const OnnxNode& node) {
  const std::string& operation = node.operation;
  if (operation == "Sigmoid" || operation == "QLinearSigmoid") return [](float x) { return 1 / (1 + std::exp(-x)); };
  if (operation == "Tanh") return [](float x) { return std::tanh(x); };
  if (operation == "HardSigmoid")
    return [a = float(node.real("alpha", 0.2f)), b = float(node.real("beta", 0.5f))](float x) {
      return std::max(0.0f, std::min(1.0f, a * x + b));
    };
  if (operation == "HardSwish") return [](float x) { return x * std::max(0.0f, std::min(1.0f, x / 6 + 0.5f)); };
  if (operation == "Elu")
    return [a = float(node.real("alpha", 1))](float x) { return x < 0 ? a * (std::exp(x) - 1) : x; };
  if (operation == "Softplus") return [](float x) { return std::log1p(std::exp(x)); };
  if (operation == "Celu")
    return [a = float(node.real("alpha", 1))](float x) { return x < 0 ? a * (std::exp(x / a) - 1) : x; };
  if (operation == "Selu")
    return [a = float(node.real("alpha", 1.67326319217681884765625f)),
            g = float(node.real("gamma", 1.05070102214813232421875f))](float x) {
      return g * (x < 0 ? a * (std::exp(x) - 1) : x);
    };
  if (operation == "Mish") return [](float x) { return x * std::tanh(std::log1p(std::exp(x))); };
  if (operation == "Swish" || operation == "QuickGelu")
    return [a = float(node.real("alpha", operation == "Swish" ? 1 : 1.702f))](float x) {
      return x / (1 + std::exp(-a * x));
    };
  if (operation == "Gelu" && node.text("approximate", "none") == "tanh")
    return [](float x) { return 0.5f * x * (1 + std::tanh(0.7978845608f * (x + 0.044715f * x * x * x))); };
  if (operation == "Gelu") return [](float x) { return 0.5f * x * (1 + std::erf(x * 0.7071067812f)); };
  if (operation == "Softsign") return [](float x) { return x / (1 + std::abs(x)); };
  if (operation == "Erf") return [](float x) { return std::erf(x); };
  if (operation == "Abs") return [](float x) { return std::abs(x); };
  if (operation == "Neg") return [](float x) { return -x; };
  float alpha = float(node.real("alpha", 0.01f));
  if (operation == "PRelu") {
    const OnnxTensor& slope = needed_constant(graph, node, 1, "slope");
    alpha = float(slope.real(0));
    for (std::size_t i = 0; i < slope.values.size(); ++i)
      if (float(slope.real(i)) != alpha)
        graph.refuse(node, "has a slope for each channel; expected one, as of LeakyRelu");
  }
  return [alpha](float x) { return x < 0 ? alpha * x : x; };
}

}  // namespace

Activation Pass::bounded(const OnnxNode& node, Activation x, double lower, double upper) const {
  if (x.kind == Activation::Kind::image) graph_.refuse(node, "its input, the image, is not quantized");
  if (x.codes) graph_.refuse(node, "its input are integers; put DequantizeLinear between");
  Tail& tail = x.kind == Activation::Kind::draft ? x.draft.tail : x.tail;
  if (lower > 0 || upper < 0) refuse_pads(node, x);
  tail.lower = std::clamp(tail.lower, lower, upper);
  tail.upper = std::clamp(tail.upper, lower, upper);
  return x;
}

void Pass::relu(const OnnxNode& node) { put(node, bounded(node, input(node, 0, {.pads = true}), 0, infinity)); }

void Pass::clip(const OnnxNode& node) {
  const ClipBounds bounds = clip_bounds(graph_, node);
  Activation x = input(node, 0, {.pads = true});
  if (x.codes) {
    // Bounds of integers are in their scale already, unless other nodes read what is not clipped.
    const OnnxScale& scale = builder_.scale_of(x.value);
    if (scale.lowest < bounds.lower || scale.highest > bounds.upper)
      graph_.refuse(node, "clips integers that other nodes read, or that no QuantizeLinear made");
    return put(node, std::move(x));
  }
  put(node, bounded(node, std::move(x), bounds.lower, bounds.upper));
}

void Pass::min_max(const OnnxNode& node) {
  if (node.inputs.size() != 2) graph_.refuse(node, "has {} inputs; expected a tensor and a number", node.inputs.size());
  const std::size_t tensor = is_activation(node, 0) ? 0 : 1;
  const OnnxTensor& bound = needed_constant(graph_, node, 1 - tensor, "bound");
  if (!bound.scalar()) graph_.refuse(node, "has a bound for each element; expected one number");
  const double lower = node.operation == "Max" ? bound.real(0) : -infinity;
  const double upper = node.operation == "Min" ? bound.real(0) : infinity;
  put(node, bounded(node, input(node, tensor, {.pads = true}), lower, upper));
}

void Pass::function(const OnnxNode& node) {
  Activation x = input(node, 0, {.pads = true});
  if (x.kind != Activation::Kind::value || x.codes)
    graph_.refuse(node, "its input is not quantized; put QuantizeLinear and DequantizeLinear before it");
  const CodeScale& scale = builder_.network.scale(x.value);
  x.tail = x.tail.then(scale, function_of(graph_, node));
  if (x.tail(scale, scale.zero_point) != 0) refuse_pads(node, x);
  put(node, std::move(x));
}

bool Pass::is_per_channel(const OnnxTensor& tensor, const Activation& x) const {
  if (tensor.scalar()) return true;
  const std::size_t axis = x.order == Order::nchw ? 1 : x.dims.size() - 1;
  const std::int64_t channels = x.dims[axis];
  // Sizes are aligned at their end.
  const std::size_t ahead = x.dims.size() >= tensor.dims.size() ? x.dims.size() - tensor.dims.size() : 0;
  return tensor.size() == channels && axis >= ahead && axis - ahead < tensor.dims.size() &&
         tensor.dims[axis - ahead] == channels && channels == x.shape.channels;
}

std::vector<double> Pass::per_channel(const OnnxNode& node, const OnnxTensor& tensor, const Activation& x) const {
  if (!is_per_channel(tensor, x))
    graph_.refuse(node, "has a constant of [{}], which is not a number for each channel", fmt::join(tensor.dims, ", "));
  std::vector<double> values;
  for (std::size_t i = 0; i < tensor.values.size(); ++i) values.push_back(tensor.real(i));
  return values;
}

void Pass::batch_normalization(const OnnxNode& node) {
  const OnnxTensor& scale = needed_constant(graph_, node, 1, "scale");
  const OnnxTensor& shift = needed_constant(graph_, node, 2, "bias");
  const OnnxTensor& mean = needed_constant(graph_, node, 3, "mean");
  const OnnxTensor& variance = needed_constant(graph_, node, 4, "variance");
  if (scale.size() != shift.size() || scale.size() != mean.size() || scale.size() != variance.size())
    graph_.refuse(node, "has statistics of different sizes");
  OnnxTensor factor{{scale.size()}, OnnxTensor::Type::real, {}, std::nullopt}, offset = factor;
  for (std::size_t c = 0; c < scale.values.size(); ++c) {
    const double deviation = std::sqrt(variance.real(c) + node.real("epsilon", 1e-5f));
    if (!(deviation > 0)) graph_.refuse(node, "has variance {} in channel {}", variance.real(c), c);
    factor.values.push_back(scale.real(c) / deviation);
    offset.values.push_back(shift.real(c) - mean.real(c) * factor.values[c]);
  }
  Activation x = input(node, 0, {.pads = true});
  if (x.order == Order::nchw) {  // as an operand that is broadcast
    factor.dims = {scale.size(), 1, 1};
    offset.dims = factor.dims;
  }
  affine(node, std::move(x), factor, offset);
}

void Pass::affine(const OnnxNode& node, Activation x, const OnnxTensor& factor, const OnnxTensor& offset) {
  const std::vector<double> f = per_channel(node, factor, x), o = per_channel(node, offset, x);
  if (std::any_of(o.begin(), o.end(), [](double added) { return added != 0; })) refuse_pads(node, x);
  const auto at = [](const std::vector<double>& v, std::size_t c) { return v[v.size() == 1 ? 0 : c]; };
  if (x.kind == Activation::Kind::image) {
    if (!x.draft.pools.empty()) graph_.refuse(node, "its input, the image, is not quantized");
    for (std::size_t c = 0; c < x.factor.size(); ++c) {
      x.factor[c] *= at(f, c);
      x.offset[c] = x.offset[c] * at(f, c) + at(o, c);
    }
    note(node, "becomes part of the image's normalization");
    return put(node, std::move(x));
  }
  if (x.kind == Activation::Kind::value) {
    if (x.codes) graph_.refuse(node, "its input are integers; put DequantizeLinear between");
    if (f.size() != 1 || o.size() != 1) return put(node, scaled_channels(node, as_value(node, std::move(x)), f, o));
    const float a = float(f[0]), b = float(o[0]);
    const double factor = x.tail.bounded() || b != 0 || !(a > 0) ? 0 : x.tail.factor * a;
    x.tail = x.tail.then(builder_.network.scale(x.value), [a, b](float v) { return a == 1 ? v + b : v * a + b; });
    x.tail.factor = factor;
    if (std::abs(factor - 1) < 1e-6) x.tail = {};
    return put(node, std::move(x));
  }
  Draft& draft = x.draft;
  if (draft.node.operation != Operation::convolution || draft.tail.bounded() || !draft.pools.empty())
    graph_.refuse(node, "its input, made by {}, is not quantized; put QuantizeLinear and DequantizeLinear between",
                  draft.node.name);
  multiply_channels(graph_, node, f, draft);
  OnnxTensor bias = offset;
  if (bias.scalar() && f.size() > 1) bias.values = std::vector<double>(1, bias.real(0)), bias.quantized.reset();
  add_bias(graph_, node, bias, builder_.network.scale(draft.node.inputs.front()).scale, draft);
  put(node, std::move(x));
}

Activation Pass::scaled_channels(const OnnxNode& node, Activation x, const std::vector<double>& factor,
                                 const std::vector<double>& offset) {
  Draft draft;
  draft.node.operation = Operation::convolution;
  draft.node.name = node_name(node);
  draft.node.inputs = {x.value};
  draft.node.groups = draft.node.shape.channels = x.shape.channels;
  draft.one_weight = true;
  draft.numbers.weights.assign(x.shape.channels, 1);
  draft.numbers.weight_scale.assign(x.shape.channels, 1);
  draft.bias.assign(x.shape.channels, 0);
  multiply_channels(graph_, node, factor, draft);
  add_bias(graph_, node, {{std::int64_t(offset.size())}, OnnxTensor::Type::real, offset, std::nullopt},
           builder_.network.scale(x.value).scale, draft);
  draft.may_fold_relu = true;
  x.kind = Activation::Kind::draft;
  x.sole = true;
  x.draft = std::move(draft);
  return x;
}

Activation Pass::constant_value(const OnnxNode& node, const OnnxTensor& constant, const Activation& beside) {
  // As a tensor of as many axes as the other operand, then in the order (C, H, W).
  OnnxTensor tensor = constant;
  const std::size_t rank = std::max<std::size_t>(beside.dims.size(), 1);
  if (tensor.dims.size() > rank) graph_.refuse(node, "has a constant of more axes than its other operand");
  const std::size_t added = rank - tensor.dims.size();
  tensor.dims.insert(tensor.dims.begin(), added, 1);
  if (tensor.quantized) tensor.quantized->axis += int(added);
  if (tensor.quantized && tensor.quantized->scale.size() > 1)
    graph_.refuse(node, "has a constant with a scale for each channel; quantize it per tensor");
  Shape shape;
  if (rank == 4) {
    if (beside.order == Order::nhwc) tensor = permuted(tensor, {0, 3, 1, 2});
    if (tensor.dims[0] != 1) graph_.refuse(node, "has a constant that differs from image to image");
    shape = {int(tensor.dims[1]), int(tensor.dims[2]), int(tensor.dims[3])};
  } else if (tensor.scalar()) {
    shape = {1, 1, 1};
  } else {
    if (std::int64_t(tensor.size()) != beside.shape.size() ||
        (beside.order == Order::flat_hwc && beside.shape.channels > 1 && beside.shape.positions() > 1))
      graph_.refuse(node, "has a constant of [{}] beside a tensor of [{}]", fmt::join(constant.dims, ", "),
                    fmt::join(beside.dims, ", "));
    shape = beside.shape;
  }
  std::vector<std::uint8_t> codes;
  CodeScale scale;
  if (tensor.quantized) {
    scale.scale = tensor.quantized->scale[0];
    const double zero = tensor.quantized->zero_point[0];
    double least = zero, most = zero;
    for (const double q : tensor.values) least = std::min(least, q), most = std::max(most, q);
    const double shift = least >= 0 ? 0 : least >= -128 ? 128 : 256;
    if (most + shift > 255) graph_.refuse(node, "has a constant of more than 8 bits");
    scale.zero_point = int(zero + shift);
    for (const double q : tensor.values) codes.push_back(std::uint8_t(q + shift));
  } else {
    double largest = 0;
    for (const double x : tensor.values) largest = std::max(largest, std::abs(x));
    if (!(largest > 0)) largest = 127 * builder_.network.scale(beside.value).scale;
    scale = {double(float(largest / 127)), 128};
    for (const double x : tensor.values)
      codes.push_back(std::uint8_t(std::clamp(std::nearbyint(x / scale.scale) + 128, 1.0, 255.0)));
    note(node, fmt::format("its constant, which is not quantized, gets the scale {:.6g}", scale.scale));
  }
  Activation result;
  result.kind = Activation::Kind::value;
  result.value = builder_.add_constant(node, shape, std::move(codes), scale);
  result.shape = shape;
  result.dims = tensor.dims;
  result.order = beside.order;
  return result;
}

Activation Pass::with_constant(const OnnxNode& node, Operation operation, Activation x, const OnnxTensor& constant) {
  refuse_pads(node, x);
  const Activation c = constant_value(node, constant, x);
  return binary(node, operation, as_value(node, std::move(x)), c);
}

Activation Pass::binary(const OnnxNode& node, Operation operation, Activation a, Activation b) {
  // Two functions of one value are one.
  if (a.kind == Activation::Kind::value && b.kind == Activation::Kind::value && a.value == b.value && !a.codes &&
      !b.codes && a.value != image_value && !(a.tail.plain() && b.tail.plain())) {
    const CodeScale& scale = builder_.network.scale(a.value);
    Tail both;
    both.factor = 0;
    for (int q = 0; q < 256; ++q) {
      const float x = a.tail(scale, q), y = b.tail(scale, q);
      both.reals.push_back(operation == Operation::add ? x + y : x * y);
    }
    a.tail = std::move(both);
    a.sole = false;
    return a;
  }
  a = as_value(node, std::move(a));
  b = as_value(node, std::move(b));
  const auto free = [](const Shape& s) { return s.channels == 1 || s.positions() == 1; };
  if (a.order != b.order && !(free(a.shape) && free(b.shape) && a.dims.size() == b.dims.size()))
    graph_.refuse(node, "has operands of different layouts");
  Draft draft;
  draft.node.operation = operation;
  draft.node.name = node_name(node);
  draft.node.inputs = {a.value, b.value};
  draft.may_fold_relu = true;
  Activation result = a.dims.size() >= b.dims.size() ? a : b;
  result.kind = Activation::Kind::draft;
  result.sole = true;
  result.shape = builder_.shape_of(node, draft.node);
  if (result.dims.size() == 4) {
    const Shape& s = result.shape;
    if (result.order == Order::nhwc) result.dims = {1, s.height, s.width, s.channels};
    else result.dims = {1, s.channels, s.height, s.width};
  } else {
    if (result.shape.size() != std::max(a.shape.size(), b.shape.size()))
      graph_.refuse(node, "has operands of different layouts");
    result.dims.back() = result.shape.size();
  }
  result.draft = std::move(draft);
  return result;
}

bool Pass::is_affine(const Activation& x, const OnnxTensor& constant) const {
  return x.kind != Activation::Kind::value || (!constant.quantized && is_per_channel(constant, x));
}

void Pass::add(const OnnxNode& node) {
  const bool first = is_activation(node, 0), second = is_activation(node, 1);
  if (first && second) {
    if (is_sub(node)) graph_.refuse(node, "subtracts one activation from another; only sums can be imported");
    return put(node, binary(node, Operation::add, input(node, 0), input(node, 1)));
  }
  if (is_sub(node) && !first) graph_.refuse(node, "subtracts an activation; only sums can be imported");
  Activation x = input(node, first ? 0 : 1, {.pads = true});
  OnnxTensor c = needed_constant(graph_, node, first ? 1 : 0, "second operand");
  if (is_sub(node)) {
    for (std::size_t i = 0; i < c.values.size(); ++i) c.values.changed()[i] = -c.real(i);
    c.quantized.reset();
  }
  if (is_affine(x, c)) return affine(node, std::move(x), {{}, OnnxTensor::Type::real, {1}, std::nullopt}, c);
  put(node, with_constant(node, Operation::add, std::move(x), c));
}

void Pass::multiply(const OnnxNode& node) {
  const bool first = is_activation(node, 0), second = is_activation(node, 1);
  if (first && second) {
    if (is_div(node)) graph_.refuse(node, "divides one activation by another; only products can be imported");
    return put(node, binary(node, Operation::multiply, input(node, 0), input(node, 1)));
  }
  if (is_div(node) && !first) graph_.refuse(node, "divides by an activation; only products can be imported");
  Activation x = input(node, first ? 0 : 1, {.pads = true});
  OnnxTensor c = needed_constant(graph_, node, first ? 1 : 0, "second operand");
  if (is_div(node)) {
    for (std::size_t i = 0; i < c.values.size(); ++i) {
      if (c.real(i) == 0) graph_.refuse(node, "divides by 0");
      c.values.changed()[i] = 1 / c.real(i);
    }
    c.quantized.reset();
  }
  if (is_affine(x, c)) return affine(node, std::move(x), c, {{}, OnnxTensor::Type::real, {0}, std::nullopt});
  put(node, with_constant(node, Operation::multiply, std::move(x), c));
}

Activation Pass::dropped_softmax(const OnnxNode& node, Activation x, std::int64_t opset) {
  // Before operator set 13 it goes over all axes from this one on.
  const std::int64_t rank = std::int64_t(x.dims.size()), given = node.integer("axis", opset < 13 ? 1 : -1);
  const std::int64_t axis = given < 0 ? given + rank : given;
  std::int64_t covered = axis >= 0 && axis < rank ? 1 : 0;
  for (std::int64_t d = std::max<std::int64_t>(axis, 0); d < (opset < 13 ? rank : std::min(axis + 1, rank)); ++d)
    covered *= x.dims[d];
  if (covered != x.shape.size())
    graph_.refuse(node,
                  "makes probabilities along axis {} of [{}]; only those over all classes can be dropped; choose a "
                  "tensor before it by --output NAME",
                  given, fmt::join(x.dims, ", "));
  x.ended = true;
  note(node, "dropped: the search compares logits");
  return x;
}

void Pass::softmax(const OnnxNode& node) { put(node, dropped_softmax(node, input(node, 0), graph_.opset)); }

}  // namespace triseg
