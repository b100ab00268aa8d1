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

QuantizedLayer convert_layer(const Network& network, const Layer& shape, Scheme scheme, const TrainedLayer& trained,
                             const CodeScale& input) {
  QuantizedLayer layer;
  layer.input = input;
  layer.output = trained.output;
  const std::size_t fan_in = shape.fan_in();
  const std::vector<float> scales = weight_scales(scheme, largest_weights(trained.weights, shape.out_channels, fan_in));
  layer.weights.resize(trained.weights.size());
  for (int c = 0; c < shape.out_channels; ++c) {
    const float inverse = 1.0f / scales[c];
    for (std::size_t i = c * fan_in; i < (c + 1) * fan_in; ++i)
      layer.weights[i] = std::int8_t(std::clamp(std::nearbyint(trained.weights[i] * inverse), -127.0f, 127.0f));
    const double accumulator_scale = input.scale * double(scales[c]);
    const double bias = std::nearbyint(trained.bias[c] / accumulator_scale);
    if (!(std::abs(bias) < 2147483648.0))
      fail(
          "{}: layer {}: the bias of channel {} ({:g}) does not fit 32 bits at the scale of what comes in, {:g}: the "
          "layer before it "
          "hardly gives more than 0; train with a smaller --lr or --qat-lr",
          network.name, shape.name, c, trained.bias[c], input.scale);
    layer.weight_scale.push_back(scales[c]);
    layer.requantization.bias.push_back(std::int32_t(bias));
    layer.requantization.multiplier.push_back(float(accumulator_scale / trained.output.scale));
  }
  return layer;
}

}  // namespace

std::vector<float> weight_scales(Scheme scheme, std::span<const float> largest) {
  const float whole = std::max(*std::max_element(largest.begin(), largest.end()), float(smallest_range));
  std::vector<float> scales(largest.size(), whole / 127.0f);
  if (scheme == Scheme::fbgemm)
    for (std::size_t c = 0; c < largest.size(); ++c) scales[c] = std::max(largest[c], whole / 1024.0f) / 127.0f;
  return scales;
}

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
  CodeScale input = trained.input;
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    result.layers.push_back(convert_layer(network, network.layers[i], scheme, trained.layers[i], input));
    input = trained.layers[i].output;
  }
  check(result);
  return result;
}

}  // namespace triseg
