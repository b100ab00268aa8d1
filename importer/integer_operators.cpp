#include "importer/pass.hpp"
#include "importer/weights.hpp"

#include <algorithm>
#include <cmath>

namespace triseg {

void Pass::quantize_linear(const OnnxNode& node) {
  Activation x = input(node, 0, {.pads = true, .channels = true});
  if (x.ended) return put(node, std::move(x));
  put(node, quantized(node, std::move(x), output_scale(node, 1)));
}

void Pass::dequantize_linear(const OnnxNode& node) {
  Activation x = input(node, 0, {.pads = true, .channels = true});
  if (!x.ended) x = dequantized(node, 0, {.pads = true, .channels = true});
  put(node, std::move(x));
}

Activation Pass::dequantized(const OnnxNode& node, std::size_t index, Takes takes) {
  Activation x = input(node, index, takes);
  if (x.kind == Activation::Kind::image && x.codes) {
    // The image comes as integers: pixels are codes, whatever they stand for.
    x = builder_.start_from_codes(node, std::move(x), linear_scale(graph_, node, index + 1));
    tensors_[node.inputs[index]] = x;
  }
  if (!x.codes) graph_.refuse(node, "its input is not quantized");
  if (!builder_.scale_of(x.value).same_numbers(linear_scale(graph_, node, index + 1)))
    graph_.refuse(node, "reads its input '{}' by another scale than it was made with", node.inputs[index]);
  x.codes = false;
  return x;
}

void Pass::quant(const OnnxNode& node) {
  Activation x = input(node, 0, {.pads = true, .channels = true});
  if (x.ended) return put(node, std::move(x));
  Activation result = quantized(node, std::move(x), quant_scale(graph_, node));
  result.codes = false;
  put(node, std::move(result));
}

void Pass::multi_threshold(const OnnxNode& node) {
  Activation x = input(node, 0);
  const OnnxTensor& given = needed_constant(graph_, node, 1, "thresholds");
  const std::int64_t rows = given.dims.size() == 2 ? given.dims[0] : 0;
  if (rows < 1 || given.dims[1] > 255 || (rows != 1 && rows != x.shape.channels))
    graph_.refuse(node, "has thresholds of [{}]; expected (1 or {}, at most 255)", fmt::join(given.dims, ", "),
                  x.shape.channels);
  std::vector<std::vector<double>> thresholds(rows);
  for (std::size_t i = 0; i < given.values.size(); ++i) thresholds[i / given.dims[1]].push_back(given.real(i));
  // out_scale * (count + out_bias / out_scale), and a factor behind it, which is one of the scale.
  const double step = node.real("out_scale", 1), shift = -node.real("out_bias", 0) / step;
  double factor = 1;
  if (const OnnxNode* next = sole_reader(node); next && next->operation == "Mul")
    for (const std::size_t i : {0, 1})
      if (const OnnxTensor* c = constant_input(graph_, *next, i); c && c->scalar() && c->real(0) > 0)
        factor = c->real(0);
  const int highest = int(given.dims[1]);
  if (!(step > 0) || shift != std::floor(shift) || shift < 0 || shift > highest)
    graph_.refuse(node, "has out_scale {} and out_bias {}; expected a scale above 0, and a code that stands for 0",
                  step, node.real("out_bias", 0));
  const OnnxScale scale{double(float(step * factor)), int(shift), 0, highest};
  if (x.kind == Activation::Kind::image) x = as_value(node, std::move(x));
  if (x.kind == Activation::Kind::value && !x.codes) {
    std::sort(thresholds[0].begin(), thresholds[0].end());
    for (auto& row : thresholds) {
      std::sort(row.begin(), row.end());
      if (row != thresholds[0])
        graph_.refuse(node, "has thresholds for each channel behind what is quantized; expected the same for all");
    }
    x.tail = x.tail.then(builder_.network.scale(x.value), [&](float v) {
      const auto& t = thresholds[0];
      const auto count = std::upper_bound(t.begin(), t.end(), double(v)) - t.begin();
      return float(scale.scale) * float(count - scale.zero_point);
    });
    if (x.value != image_value && scale.zero_point == 0 && !builder_.nonnegative(x.value)) x.tail.lower = 0;
  } else {
    Draft& draft = x.draft;
    if (x.kind != Activation::Kind::draft || draft.node.operation != Operation::convolution)
      graph_.refuse(node, "its input is neither quantized nor made by a convolution; put Quant before it");
    const int value = draft.node.inputs.front();
    const CodeScale& in = builder_.network.scale(value);
    const QuantizedNode* numbers = value == image_value ? nullptr : &builder_.network.nodes[value];
    const int missed =
        set_thresholds(draft, thresholds, in.scale, scale.zero_point, (numbers ? numbers->lowest : 0) - in.zero_point,
                       (numbers ? numbers->highest : 255) - in.zero_point);
    if (missed > 0)
      graph_.refuse(node,
                    "{} of its {} thresholds cannot be held: no multiplier and bias a channel have codes change at the "
                    "same sums of the convolution; use Quant, or thresholds that are multiples of the sums' unit apart",
                    missed, given.values.size());
    draft.tail = {};
  }
  x = builder_.quantize(node, std::move(x), scale, sole(node));
  x.codes = false;
  if (factor != 1) {
    x.tail = x.tail.then(builder_.network.scale(x.value), [&](float v) { return v / float(factor); });
    x.tail.factor = 1 / factor;
  }
  put(node, std::move(x));
}

OnnxTensor Pass::dequantized_constant(const OnnxNode& node, std::size_t index, int axis) const {
  OnnxTensor result = needed_constant(graph_, node, index, "weights");
  const OnnxTensor& scale = needed_constant(graph_, node, index + 1, "scale of weights");
  const OnnxTensor* zero = constant_input(graph_, node, index + 2);
  ConstantScale scales;
  scales.axis = axis;
  for (std::size_t i = 0; i < scale.values.size(); ++i) {
    scales.scale.push_back(scale.real(i));
    const bool one = zero && zero->values.size() != scale.values.size();
    if (one && !zero->scalar())
      graph_.refuse(node, "has {} scales and {} zero points of weights", scale.size(), zero->size());
    scales.zero_point.push_back(!zero ? 0 : zero->values[one ? 0 : i]);
  }
  if (scales.scale.size() > 1 &&
      (axis >= int(result.dims.size()) || result.dims[axis] != std::int64_t(scales.scale.size())))
    graph_.refuse(node, "has {} scales of weights, which are not one an output channel", scales.scale.size());
  result.quantized = std::move(scales);
  return result;
}

OnnxScale Pass::output_scale(const OnnxNode& node, std::size_t first) const {
  OnnxScale scale = linear_scale(graph_, node, first);
  if (const OnnxNode* only = sole_reader(node); only && only->operation == "Clip") {
    const OnnxNode& next = *only;
    const ClipBounds bounds = clip_bounds(graph_, next);
    scale.lowest = int(std::clamp(std::ceil(bounds.lower), double(scale.lowest), double(scale.highest)));
    scale.highest = int(std::clamp(std::floor(bounds.upper), double(scale.lowest), double(scale.highest)));
    if (scale.zero_point < scale.lowest || scale.zero_point > scale.highest)
      graph_.refuse(next, "leaves out the zero point, {}", scale.zero_point);
  }
  return scale;
}

void Pass::put_quantized(const OnnxNode& node, Activation x, std::size_t scale) {
  put(node, builder_.quantize(node, std::move(x), output_scale(node, scale), sole(node)));
}

namespace {

/// The integers of a bias, at the scale of accumulators.
void add_integer_bias(const OnnxGraph& graph, const OnnxNode& node, const OnnxTensor& bias, Draft& draft) {
  if (bias.values.size() != draft.bias.size())
    graph.refuse(node, "has {} biases for {} channels", bias.values.size(), draft.bias.size());
  for (std::size_t c = 0; c < draft.bias.size(); ++c) draft.bias[c] += bias.values[c];
}

}  // namespace

void Pass::qlinear_conv(const OnnxNode& node) {
  if (node.integer("channels_last", 0)) graph_.refuse(node, "has its channels last; export it with channels first");
  Activation result =
      convolution(node, dequantized(node, 0, {.pads = true, .channels = true}), dequantized_constant(node, 3, 0));
  if (node.has_input(8)) add_integer_bias(graph_, node, needed_constant(graph_, node, 8, "bias"), result.draft);
  const Shape s = builder_.shape_of(node, result.draft.node);
  result.shape = s;
  result.dims = {1, s.channels, s.height, s.width};
  put_quantized(node, std::move(result), 6);
}

void Pass::qlinear_matmul(const OnnxNode& node) {
  const OnnxTensor matrix = dequantized_constant(node, 3, 1);
  if (matrix.dims.size() != 2) graph_.refuse(node, "its second operand is no matrix");
  put_quantized(node, full_plane(node, dequantized(node, 0), permuted(matrix, {1, 0})), 6);
}

void Pass::qgemm(const OnnxNode& node) {
  if (node.integer("transA", 0) != 0) graph_.refuse(node, "transposes its input (transA)");
  const bool transposed = node.integer("transB", 0) != 0;
  OnnxTensor matrix = dequantized_constant(node, 3, transposed ? 0 : 1);
  if (matrix.dims.size() != 2) graph_.refuse(node, "its weights are no matrix");
  if (!transposed) matrix = permuted(matrix, {1, 0});
  Activation result = full_plane(node, dequantized(node, 0), std::move(matrix));
  if (node.has_input(6)) add_integer_bias(graph_, node, needed_constant(graph_, node, 6, "bias"), result.draft);
  if (const double alpha = node.real("alpha", 1); alpha != 1) multiply_channels(graph_, node, {alpha}, result.draft);
  if (node.has_input(7)) put_quantized(node, std::move(result), 7);
  else put(node, std::move(result));
}

void Pass::qlinear_binary(const OnnxNode& node) {
  const Operation operation = node.operation == "QLinearAdd" ? Operation::add : Operation::multiply;
  const bool first = is_activation(node, 0), second = is_activation(node, 3);
  Activation result;
  if (first && second) result = binary(node, operation, dequantized(node, 0), dequantized(node, 3));
  else
    result =
        with_constant(node, operation, dequantized(node, first ? 0 : 3), dequantized_constant(node, first ? 3 : 0, 0));
  put_quantized(node, std::move(result), 6);
}

void Pass::qlinear_concat(const OnnxNode& node) {
  std::vector<Activation> parts;
  for (std::size_t i = 2; i + 2 < node.inputs.size(); i += 3) parts.push_back(dequantized(node, i));
  put_quantized(node, concatenated(node, std::move(parts)), 0);
}

void Pass::qlinear_pool(const OnnxNode& node) {
  const Activation x = dequantized(node, 0, {.pads = node.operation == "QLinearAveragePool"});
  Activation result;
  if (node.operation == "QLinearAveragePool") {
    const auto kernel = node.integers("kernel_shape", {});
    if (kernel.size() != 2 || kernel[0] < 1 || kernel[1] < 1 || kernel[0] > 4096 || kernel[1] > 4096)
      graph_.refuse(node, "has a window of [{}]; only planes, of two axes, can be imported", fmt::join(kernel, ", "));
    result =
        average(node, x, window_of(node, x, int(kernel[0]), int(kernel[1])), node.integer("count_include_pad", 0) != 0);
  } else {
    if (node.operation == "QLinearReduceMean") {
      auto axes = node.integers("axes", {});
      for (std::int64_t& axis : axes)
        if (axis < 0) axis += std::int64_t(x.dims.size());
      if (axes != (x.order == Order::nhwc ? std::vector<std::int64_t>{1, 2} : std::vector<std::int64_t>{2, 3}))
        graph_.refuse(node, "averages over axes [{}]; only over both axes of a plane", fmt::join(axes, ", "));
    } else if (x.order != (node.integer("channels_last", 0) ? Order::nhwc : Order::nchw)) {
      graph_.refuse(node, "has its channels along another axis; put Transpose before it");
    }
    result = mean_over_plane(node, x);
    if (node.operation == "QLinearReduceMean" && node.integer("keepdims", 1) == 0) {
      result.order = Order::flat_chw;
      result.dims = {1, result.shape.size()};
    }
  }
  put_quantized(node, std::move(result), 3);
}

void Pass::qlinear_function(const OnnxNode& node) {
  tensors_[node.outputs.front()] = dequantized(node, 0, {.pads = true});
  OnnxNode plain = node;
  plain.inputs = {node.outputs.front()};
  function(plain);
  put_quantized(node, tensors_.at(node.outputs.front()), 3);
}

void Pass::qlinear_softmax(const OnnxNode& node) {
  put(node, dropped_softmax(node, dequantized(node, 0), node.integer("opset", graph_.opset)));
}

}  // namespace triseg
