#include "importer/node_names.hpp"
#include "importer/pass.hpp"
#include "importer/weights.hpp"

#include <algorithm>
#include <cmath>

namespace triseg {
namespace {

using Dims = std::vector<std::int64_t>;

constexpr std::int64_t largest = 4096;

/// The flat tensor (1, F).
void make_flat(Activation& x) {
  x.order = Order::flat_chw;
  x.dims = {1, x.shape.size()};
}

void set_plane(Activation& x, const Shape& shape) {
  x.shape = shape;
  if (x.order == Order::nhwc) x.dims = {1, shape.height, shape.width, shape.channels};
  else x.dims = {1, shape.channels, shape.height, shape.width};
}

/// An average that is a convolution with equal weights: as many codes count everywhere.
bool is_sum(const Activation& x) {
  if (x.kind != Activation::Kind::draft || x.draft.node.operation != Operation::average) return false;
  const Window& w = x.draft.node.window;
  const bool pads = w.pad_top || w.pad_left || w.pad_bottom || w.pad_right;
  return x.draft.tail.plain() && x.draft.pools.empty() && !x.pads.any() && !w.ceil &&
         (!pads || x.draft.node.count_padding);
}

/// The largest sum of 255 times each weight of an output channel.
double largest_sum(const OnnxTensor& weights) {
  double largest = 0;
  const std::size_t fan_in =
      std::max<std::size_t>(1, weights.values.size() / std::max<std::int64_t>(1, weights.dims[0]));
  for (std::size_t i = 0; i < weights.values.size();) {
    double sum = 0;
    for (const std::size_t end = std::min(i + fan_in, weights.values.size()); i < end; ++i)
      sum +=
          255 * std::abs(weights.values[i] - (weights.quantized ? weights.quantized->zero_point[weights.slice(i)] : 0));
    largest = std::max(largest, sum);
  }
  return largest;
}

}  // namespace

Window Pass::window_of(const OnnxNode& node, const Activation& x, int height, int width) const {
  if (x.dims.size() != 4)
    graph_.refuse(node, "moves over {} axes; only planes, of two, can be imported", std::int64_t(x.dims.size()) - 2);
  const Order expected = node.integer("channels_last", 0) ? Order::nhwc : Order::nchw;
  if (x.order != expected) graph_.refuse(node, "has its channels along another axis; put Transpose before it");
  const Dims strides = node.integers("strides", {1, 1}), dilations = node.integers("dilations", {1, 1});
  Dims pads = node.integers("pads", {0, 0, 0, 0});
  if (strides.size() != 2 || dilations.size() != 2 || pads.size() != 4)
    graph_.refuse(node, "has strides, dilations or pads of another number of axes than two");
  for (const Dims& sizes : {strides, dilations, pads})
    for (const std::int64_t size : sizes)
      if (size < 0 || size > largest) graph_.refuse(node, "has strides, dilations or pads out of 0..{}", largest);
  const Dims plane{x.shape.height, x.shape.width}, kernel{height, width};
  const std::string automatic = node.text("auto_pad", "NOTSET");
  if (automatic == "SAME_UPPER" || automatic == "SAME_LOWER") {
    for (std::size_t d = 0; d < 2; ++d) {
      const std::int64_t in = plane[d] + (d == 0 ? x.pads.top + x.pads.bottom : x.pads.left + x.pads.right);
      const std::int64_t stride = std::max<std::int64_t>(1, strides[d]), steps = (in + stride - 1) / stride;
      const std::int64_t all =
          std::max<std::int64_t>(0, (steps - 1) * stride + (kernel[d] - 1) * dilations[d] + 1 - in);
      pads[d] = automatic == "SAME_UPPER" ? all / 2 : all - all / 2;
      pads[d + 2] = all - pads[d];
    }
  } else if (automatic == "VALID") {
    pads = {0, 0, 0, 0};
  } else if (automatic != "NOTSET" && !automatic.empty()) {
    graph_.refuse(node, "pads by '{}'; expected NOTSET, SAME_UPPER, SAME_LOWER or VALID", automatic);
  }
  Window w;
  w.height = height, w.width = width;
  w.stride_y = int(strides[0]), w.stride_x = int(strides[1]);
  w.dilation_y = int(dilations[0]), w.dilation_x = int(dilations[1]);
  w.pad_top = int(pads[0]) + x.pads.top, w.pad_left = int(pads[1]) + x.pads.left;
  w.pad_bottom = int(pads[2]) + x.pads.bottom, w.pad_right = int(pads[3]) + x.pads.right;
  w.ceil = node.integer("ceil_mode", 0) != 0;
  // Windows that begin in zeros of a Pad count; those that begin in a node's own do not.
  if (w.ceil && x.pads.any()) graph_.refuse(node, "rounds up (ceil_mode) behind a Pad; give it the pads itself");
  return w;
}

Activation Pass::convolution_input(const OnnxNode& node, const OnnxTensor& weights, Takes takes) {
  const Activation x = input(node, 0, takes);
  if (!is_sum(x) || weights.dims.size() < 2) return value_input(node, 0, takes);
  const bool point = weights.dims.size() == 2 ? x.shape.positions() == 1
                                              : weights.dims == Dims{weights.dims[0], weights.dims[1], 1, 1};
  const auto all = [&](const char* attribute, std::int64_t value) {
    for (const std::int64_t x : node.integers(attribute, {}))
      if (x != value) return false;
    return true;
  };
  const Window& w = x.draft.node.window;
  // Accumulators have 32 bits; half of them are left to the bias.
  const double count = double(w.height) * w.width;
  const bool fits = largest_sum(weights) * count < 1 << 30 && double(weights.size()) * count < 1 << 28;
  return point && fits && all("strides", 1) && all("pads", 0) ? x : value_input(node, 0, takes);
}

Activation Pass::convolution(const OnnxNode& node, Activation x, const OnnxTensor& weights) {
  if (x.order == Order::grouped)
    graph_.refuse(node, "reads channels in groups, [{}]; put Reshape before it", fmt::join(x.dims, ", "));
  // Weights 0 leave channels out, unless there are groups.
  std::vector<int> distinct = x.channels;
  std::sort(distinct.begin(), distinct.end());
  if (node.integer("group", 1) != 1 || std::adjacent_find(distinct.begin(), distinct.end()) != distinct.end())
    if (!x.channels.empty()) x = builder_.select(node, std::move(x));
  if (weights.dims.size() != 4)
    graph_.refuse(node, "convolves over {} axes; only planes, of two, can be imported",
                  std::int64_t(weights.dims.size()) - 2);
  const auto& d = weights.dims;
  if (d[2] < 1 || d[3] < 1 || d[2] > largest || d[3] > largest || d[0] > (1 << 20))
    graph_.refuse(node, "has weights of [{}]", fmt::join(d, ", "));
  if (const Dims kernel = node.integers("kernel_shape", {d[2], d[3]}); kernel != Dims{d[2], d[3]})
    graph_.refuse(node, "has weights of [{}] for a window of [{}]", fmt::join(d, ", "), fmt::join(kernel, ", "));
  Draft draft;
  draft.node.operation = Operation::convolution;
  draft.node.name = node_name(node);
  draft.node.inputs = {x.value};
  draft.node.window = window_of(node, x, int(d[2]), int(d[3]));
  draft.node.groups = int(std::clamp<std::int64_t>(node.integer("group", 1), 0, 1 << 20));
  draft.node.shape.channels = int(d[0]);
  if (d[1] * draft.node.groups != x.shape.channels)
    graph_.refuse(node, "has weights for {} channels in {} groups; its input has {}", d[1], draft.node.groups,
                  x.shape.channels);
  set_weights(graph_, node, weights, draft);
  if (x.kind == Activation::Kind::draft) spread_weights(x.draft.node, draft);
  if (!x.channels.empty()) widen_weights(x.channels, builder_.network.network.shape(x.value).channels, draft);
  draft.may_fold_relu = true;
  x.channels.clear();
  x.pads = {};
  x.kind = Activation::Kind::draft;
  x.sole = true;
  x.draft = std::move(draft);
  return x;
}

void Pass::conv(const OnnxNode& node) {
  const OnnxTensor& weights = needed_constant(graph_, node, 1, "weights");
  Activation result = convolution(node, convolution_input(node, weights, {.pads = true, .channels = true}), weights);
  if (node.has_input(2))
    add_bias(graph_, node, needed_constant(graph_, node, 2, "bias"),
             builder_.network.scale(result.draft.node.inputs[0]).scale, result.draft);
  set_plane(result, builder_.shape_of(node, result.draft.node));
  put(node, std::move(result));
}

Activation Pass::full_plane(const OnnxNode& node, Activation x, OnnxTensor matrix) {
  if (x.dims.size() > 2 || x.dims.empty())
    graph_.refuse(node, "multiplies a tensor of {} axes by a matrix; only flat ones can be imported", x.dims.size());
  if (matrix.dims.size() != 2 || matrix.dims[1] != x.shape.size())
    graph_.refuse(node, "multiplies {} numbers by a matrix of [{}]", x.shape.size(), fmt::join(matrix.dims, ", "));
  if (x.order == Order::flat_hwc) {
    if (matrix.quantized && matrix.quantized->scale.size() > 1 && matrix.quantized->axis == 1)
      graph_.refuse(node, "its weights have a scale for each input; expected one, or one for each output");
    matrix = with_channels_first(matrix, x.shape);
  }
  Draft draft;
  draft.node.operation = Operation::convolution;
  draft.node.name = node_name(node);
  draft.node.inputs = {x.value};
  draft.node.window.height = x.shape.height;
  draft.node.window.width = x.shape.width;
  draft.node.shape.channels = int(std::min<std::int64_t>(matrix.dims[0], 1 << 20));
  set_weights(graph_, node, matrix, draft);
  if (x.kind == Activation::Kind::draft) spread_weights(x.draft.node, draft);
  draft.may_fold_relu = true;
  x.kind = Activation::Kind::draft;
  x.sole = true;
  x.shape = builder_.shape_of(node, draft.node);
  x.draft = std::move(draft);
  make_flat(x);
  return x;
}

void Pass::gemm(const OnnxNode& node) {
  if (node.integer("transA", 0) != 0) graph_.refuse(node, "transposes its input (transA)");
  OnnxTensor matrix = needed_constant(graph_, node, 1, "weights");
  if (matrix.dims.size() != 2) graph_.refuse(node, "its weights are no matrix");
  if (node.integer("transB", 0) == 0) matrix = permuted(matrix, {1, 0});
  Activation result = full_plane(node, convolution_input(node, matrix), matrix);
  if (const double alpha = node.real("alpha", 1); alpha != 1) multiply_channels(graph_, node, {alpha}, result.draft);
  if (node.has_input(2)) {
    OnnxTensor bias = needed_constant(graph_, node, 2, "bias");
    if (const double beta = node.real("beta", 1); beta != 1) {
      for (std::size_t i = 0; i < bias.values.size(); ++i) bias.values.changed()[i] = beta * bias.real(i);
      bias.quantized.reset();
    }
    add_bias(graph_, node, bias, builder_.network.scale(result.draft.node.inputs[0]).scale, result.draft);
  }
  put(node, std::move(result));
}

void Pass::matmul(const OnnxNode& node) {
  OnnxTensor matrix = needed_constant(graph_, node, 1, "second operand");
  if (matrix.dims.size() != 2) graph_.refuse(node, "its second operand is no matrix");
  matrix = permuted(matrix, {1, 0});
  put(node, full_plane(node, convolution_input(node, matrix), matrix));
}

Activation Pass::maximum(const OnnxNode& node, Activation x, const Window& window) {
  Node pool;
  pool.operation = Operation::maximum;
  pool.name = node_name(node);
  pool.window = window;
  if (x.kind == Activation::Kind::image) graph_.refuse(node, "its input, the image, is not quantized");
  if (x.kind == Activation::Kind::draft) {
    if (x.pads.any()) graph_.refuse(node, "stands behind a Pad of what is not quantized");
    x.draft.pools.push_back(pool);
    set_plane(x, builder_.shape_of(node, x.draft.node, x.draft.pools));
    return x;
  }
  // Zeros around what is never negative cannot win but where all is 0.
  if (x.pads.any() && !builder_.nonnegative(x.value) && x.tail.lower != 0)
    graph_.refuse(node, "stands behind a Pad of values that may be negative");
  if (!x.tail.reals.empty())
    graph_.refuse(node,
                  "the activation function before it has no scale; put QuantizeLinear and DequantizeLinear between");
  x.value = builder_.add_maximum(node, pool, x.value);
  x.sole = true;
  x.pads = {};
  set_plane(x, builder_.network.network.shape(x.value));
  return x;
}

void Pass::max_pool(const OnnxNode& node) {
  const Activation x = input(node, 0, {.pads = true});
  const Dims kernel = node.integers("kernel_shape", {});
  if (kernel.size() != 2 || kernel[0] < 1 || kernel[1] < 1 || kernel[0] > largest || kernel[1] > largest)
    graph_.refuse(node, "has a window of [{}]; only planes, of two axes, can be imported", fmt::join(kernel, ", "));
  put(node, maximum(node, x, window_of(node, x, int(kernel[0]), int(kernel[1]))));
}

void Pass::global_max_pool(const OnnxNode& node) {
  const Activation x = input(node, 0);
  put(node, maximum(node, x, window_of(node, x, x.shape.height, x.shape.width)));
}

Activation Pass::average(const OnnxNode& node, Activation x, const Window& window, bool count_padding) {
  // A node without pads of its own counts those of a Pad.
  const Pads& p = x.pads;
  if (p.any() && p.top == window.pad_top && p.left == window.pad_left && p.bottom == window.pad_bottom &&
      p.right == window.pad_right)
    count_padding = true;
  if (p.any() && !count_padding)
    graph_.refuse(node, "stands behind a Pad, whose zeros it counts, and has pads of its own, which it does not count");
  Draft draft;
  draft.node.operation = Operation::average;
  draft.node.name = node_name(node);
  draft.node.inputs = {x.value};
  draft.node.window = window;
  draft.node.count_padding = count_padding;
  x.pads = {};
  x.kind = Activation::Kind::draft;
  x.sole = true;
  x.draft = std::move(draft);
  set_plane(x, builder_.shape_of(node, x.draft.node));
  return x;
}

void Pass::average_pool(const OnnxNode& node) {
  const Activation x = value_input(node, 0, {.pads = true});
  const Dims kernel = node.integers("kernel_shape", {});
  if (kernel.size() != 2 || kernel[0] < 1 || kernel[1] < 1 || kernel[0] > largest || kernel[1] > largest)
    graph_.refuse(node, "has a window of [{}]; only planes, of two axes, can be imported", fmt::join(kernel, ", "));
  put(node,
      average(node, x, window_of(node, x, int(kernel[0]), int(kernel[1])), node.integer("count_include_pad", 0) != 0));
}

Activation Pass::mean_over_plane(const OnnxNode& node, Activation x) {
  if (x.dims.size() != 4) graph_.refuse(node, "averages something else than a plane");
  Window whole;
  whole.height = x.shape.height;
  whole.width = x.shape.width;
  return average(node, std::move(x), whole, false);
}

void Pass::global_average_pool(const OnnxNode& node) {
  const Activation x = value_input(node, 0);
  if (x.order != Order::nchw) graph_.refuse(node, "has its channels along another axis; put Transpose before it");
  put(node, mean_over_plane(node, x));
}

void Pass::reduce_mean(const OnnxNode& node) {
  const Activation x = value_input(node, 0);
  auto axes = integers_of(graph_, node, "axes", node.operation == "ReduceMean" ? 1 : 99).value_or(Dims{});
  for (std::int64_t& axis : axes)
    if (axis < 0) axis += std::int64_t(x.dims.size());
  std::sort(axes.begin(), axes.end());
  if (axes != (x.order == Order::nhwc ? Dims{1, 2} : Dims{2, 3}) || x.dims.size() != 4)
    graph_.refuse(node, "averages over axes [{}]; only over both axes of a plane", fmt::join(axes, ", "));
  Activation result = mean_over_plane(node, x);
  if (node.integer("keepdims", 1) == 0) make_flat(result);
  put(node, std::move(result));
}

}  // namespace triseg
