#include "importer/weights.hpp"

#include <cmath>

namespace triseg {

void set_weights(const OnnxGraph& graph, const OnnxNode& node, const OnnxTensor& weights, Draft& draft) {
  if (!weights.quantized)
    graph.refuse(node, "its weights are not quantized; put QuantizeLinear and DequantizeLinear, or Quant, behind them");
  if (weights.quantized->scale.size() > 1 && weights.quantized->axis != 0)
    graph.refuse(node, "its weights have a scale each along another axis than that of output channels");
  const std::size_t channels = weights.dims.front();
  if (channels == 0 || weights.values.empty()) graph.refuse(node, "has no weights");
  QuantizedNode& numbers = draft.numbers;
  numbers.weights.reserve(weights.values.size());
  for (std::size_t i = 0; i < weights.values.size(); ++i) {
    const double code = weights.values[i] - weights.quantized->zero_point[weights.slice(i)];
    if (code < -128 || code > 127)
      graph.refuse(node, "its weights are not symmetric: {} from their zero point; expected -128 to 127", code);
    numbers.weights.push_back(static_cast<std::int8_t>(code));
  }
  for (std::size_t c = 0; c < channels; ++c) {
    const auto& scale = weights.quantized->scale;
    numbers.weight_scale.push_back(scale[scale.size() == 1 ? 0 : c]);
    if (!(numbers.weight_scale.back() > 0)) graph.refuse(node, "the scale of its weights is not positive");
  }
  draft.bias.assign(channels, 0);
}

void add_bias(const OnnxGraph& graph, const OnnxNode& node, const OnnxTensor& bias, double input, Draft& draft) {
  const std::size_t channels = draft.bias.size();
  if (bias.values.size() != channels && !bias.scalar())
    graph.refuse(node, "has {} biases for {} channels", bias.values.size(), channels);
  for (std::size_t c = 0; c < channels; ++c) {
    const std::size_t i = bias.scalar() ? 0 : c;
    const double unit = input * draft.numbers.weight_scale[c];
    if (bias.quantized) {
      const std::size_t s = bias.slice(i);
      if (std::abs(bias.quantized->scale[s] / unit - 1) < 1e-6) {
        draft.bias[c] += bias.values[i] - bias.quantized->zero_point[s];
        continue;
      }
    }
    draft.bias[c] += bias.real(i) / unit;
  }
}

void multiply_channels(const OnnxGraph& graph, const OnnxNode& node, const std::vector<double>& factor, Draft& draft) {
  for (std::size_t c = 0; c < draft.bias.size(); ++c) {
    const double f = factor[factor.size() == 1 ? 0 : c];
    if (!std::isfinite(f)) graph.refuse(node, "multiplies channel {} by {}", c, f);
    if (f != 0) draft.numbers.weight_scale[c] *= std::abs(f);
    if (f > 0) continue;
    // A scale is positive: the sign goes to the weights.
    const int sign = f < 0 ? -1 : 0;
    const std::size_t fan_in = draft.numbers.weights.size() / draft.bias.size();
    for (std::size_t i = c * fan_in; i < (c + 1) * fan_in; ++i) {
      const int code = sign * draft.numbers.weights[i];
      if (code > 127)
        graph.refuse(node, "multiplies weights that are -128 by {}; fold it into them before they are quantized", f);
      draft.numbers.weights[i] = static_cast<std::int8_t>(code);
    }
    draft.bias[c] *= sign;
  }
}

void spread_weights(const Node& average, Draft& draft) {
  const int count = average.window.height * average.window.width;
  std::vector<std::int8_t> weights;
  weights.reserve(draft.numbers.weights.size() * count);
  for (const std::int8_t weight : draft.numbers.weights) weights.insert(weights.end(), count, weight);
  draft.numbers.weights = std::move(weights);
  for (double& scale : draft.numbers.weight_scale) scale /= count;
  draft.node.inputs = average.inputs;
  draft.node.window = average.window;
}

OnnxTensor with_channels_first(const OnnxTensor& matrix, const Shape& input) {
  OnnxTensor result = matrix;
  const int size = input.size();
  const std::size_t rows = matrix.values.size() / size;
  for (std::size_t row = 0; row < rows; ++row)
    for (int c = 0; c < input.channels; ++c)
      for (int p = 0; p < input.positions(); ++p)
        result.values[row * size + c * input.positions() + p] = matrix.values[row * size + p * input.channels + c];
  return result;
}

}  // namespace triseg
