#include "trainer/conversion.hpp"

#include "core/error.hpp"

#include <algorithm>
#include <cmath>

namespace triseg {
namespace {

constexpr double smallest_range = 1e-6;

/// max|w| of every output channel.
std::vector<float> largest_weights(std::span<const float> weights, int channels, std::size_t fan_in) {
  std::vector<float> largest(channels, 0.0f);
  for (std::size_t i = 0; i < weights.size(); ++i)
    largest[i / fan_in] = std::max(largest[i / fan_in], std::abs(weights[i]));
  return largest;
}

void convert_convolution(const Network& network, const Node& shape, Scheme scheme, const TrainedNode& trained,
                         const CodeScale& input, QuantizedNode& node) {
  const std::size_t fan_in = network.fan_in(shape);
  const int channels = shape.shape.channels;
  const std::vector<float> scales = weight_scales(scheme, largest_weights(trained.weights, channels, fan_in));
  node.weights.resize(trained.weights.size());
  for (int c = 0; c < channels; ++c) {
    const float inverse = 1.0f / scales[c];
    for (std::size_t i = c * fan_in; i < (c + 1) * fan_in; ++i)
      node.weights[i] = std::int8_t(std::clamp(std::nearbyint(trained.weights[i] * inverse), -127.0f, 127.0f));
    const double accumulator_scale = input.scale * double(scales[c]);
    const double bias = std::nearbyint(trained.bias[c] / accumulator_scale);
    if (!(std::abs(bias) < 2147483648.0))
      fail(
          "{}: layer {}: the bias of channel {} ({:g}) does not fit 32 bits at the scale of what comes in, {:g}: the "
          "layer before it "
          "hardly gives more than 0; train with a smaller --lr or --qat-lr",
          network.name, shape.name, c, trained.bias[c], input.scale);
    node.weight_scale.push_back(scales[c]);
    node.requantization.bias.push_back(std::int32_t(bias));
    node.requantization.multiplier.push_back(float(accumulator_scale / trained.output.scale));
  }
}

/// The codes of one scale at another.
CodeMap code_map(const CodeScale& in, const CodeScale& out) {
  CodeMap map{};
  for (int q = 0; q < 256; ++q) {
    const double code = std::nearbyint((q - in.zero_point) * in.scale / out.scale) + out.zero_point;
    map[q] = std::uint8_t(std::clamp(code, 0.0, 255.0));
  }
  return map;
}

}  // namespace

std::vector<float> weight_scales(Scheme scheme, std::span<const float> largest) {
  const float whole = std::max(*std::max_element(largest.begin(), largest.end()), float(smallest_range));
  std::vector<float> scales(largest.size(), whole / 127.0f);
  if (scheme == Scheme::fbgemm)
    for (std::size_t c = 0; c < largest.size(); ++c) scales[c] = std::max(largest[c], whole / 1024.0f) / 127.0f;
  return scales;
}

bool is_trained(Operation operation) { return operation != Operation::table && operation != Operation::constant; }

CodeScale relu_scale(Scheme scheme, double maximum) {
  return {std::max(maximum, smallest_range) / activation_range(scheme), 0};
}

CodeScale affine_scale(Scheme scheme, double minimum, double maximum) {
  minimum = std::min(minimum, 0.0);
  maximum = std::max(maximum, 0.0);
  const double scale = std::max(maximum - minimum, smallest_range) / activation_range(scheme);
  return {scale, int(std::nearbyint(-minimum / scale))};
}

CodeScale pixel_scale(Scheme scheme, std::span<const double> mean, std::span<const double> standard_deviation) {
  double minimum = 0, maximum = 0;
  for (std::size_t c = 0; c < mean.size(); ++c) {
    minimum = std::min(minimum, (0.0 - mean[c]) / standard_deviation[c]);
    maximum = std::max(maximum, (1.0 - mean[c]) / standard_deviation[c]);
  }
  return affine_scale(scheme, minimum, maximum);
}

QuantizedNetwork convert(const Network& network, Scheme scheme, const std::string& data,
                         const TrainedNetwork& trained) {
  QuantizedNetwork result;
  result.network = network;
  result.scheme = scheme;
  result.data = data;
  result.mean = trained.mean;
  result.standard_deviation = trained.standard_deviation;
  result.input = trained.input;
  for (std::size_t i = 0; i < network.nodes.size(); ++i) {
    const Node& shape = network.nodes[i];
    if (!is_trained(shape.operation))
      fail("{}: node {}: a {} cannot be trained", network.name, shape.name, operation_name(shape.operation));
    QuantizedNode node;
    node.output = trained.nodes[i].output;
    if (shape.operation == Operation::convolution)
      convert_convolution(network, shape, scheme, trained.nodes[i], result.scale(shape.inputs.front()), node);
    const bool one_scale = std::all_of(shape.inputs.begin(), shape.inputs.end(),
                                       [&](int input) { return result.scale(input) == node.output; });
    if (shape.operation == Operation::concatenate && !one_scale)
      for (const int input : shape.inputs) node.maps.push_back(code_map(result.scale(input), node.output));
    result.nodes.push_back(std::move(node));
  }
  check(result);
  return result;
}

}  // namespace triseg
