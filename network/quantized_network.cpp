#include "network/quantized_network.hpp"

#include "core/error.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

namespace triseg {

std::string_view scheme_name(Scheme scheme) { return scheme == Scheme::fbgemm ? "fbgemm" : "qnnpack"; }

Scheme parse_scheme(std::string_view name) {
  if (name == "fbgemm") return Scheme::fbgemm;
  if (name == "qnnpack") return Scheme::qnnpack;
  fail("unknown backend '{}': expected fbgemm or qnnpack", name);
}

int activation_range(Scheme scheme) { return scheme == Scheme::fbgemm ? 127 : 255; }

int lowest_code(const Layer& layer, const QuantizedLayer& quantized) {
  return layer.relu ? quantized.output.zero_point : 0;
}

std::array<std::uint8_t, 256> input_codes(const QuantizedNetwork& n, int channel) {
  std::array<std::uint8_t, 256> codes{};
  const auto mean = static_cast<float>(n.mean[channel]), deviation = static_cast<float>(n.standard_deviation[channel]);
  const auto scale = static_cast<float>(n.input().scale);
  for (int pixel = 0; pixel < 256; ++pixel) {
    const float x = (static_cast<float>(pixel) / 255.0f - mean) / deviation;
    codes[pixel] =
        static_cast<std::uint8_t>(std::clamp(std::nearbyint(x / scale) + n.input().zero_point, 0.0f, 255.0f));
  }
  return codes;
}

namespace {

/// Sums over the weights of one channel.
struct WeightSums {
  std::int64_t positive = 0, negative = 0;  ///< sizes of the positive and of the negative ones

  WeightSums(const QuantizedLayer& layer, std::size_t channel) {
    const std::size_t fan_in = layer.weights.size() / layer.requantization.bias.size();
    for (std::size_t i = 0; i < fan_in; ++i) {
      const int w = layer.weights[channel * fan_in + i];
      (w > 0 ? positive : negative) += std::abs(w);
    }
  }
  /// The most that codes 0..255 add to the bias.
  std::int64_t largest_sum() const { return 255 * std::max(positive, negative); }
  /// The zero point is folded into the bias by engines that feed plain codes: the bias they start from is less by this.
  std::int64_t folded(const QuantizedLayer& layer) const { return layer.input.zero_point * (positive - negative); }
};

/// A float32 number with all its bits. Scales become float32 in tables and multipliers, where others are 0, inexact or
/// infinite.
bool is_scale(double x) { return x >= std::numeric_limits<float>::min() && x <= std::numeric_limits<float>::max(); }

}  // namespace

std::int64_t accumulator_bound(const QuantizedLayer& layer) {
  std::int64_t bound = 0;
  for (std::size_t c = 0; c < layer.requantization.bias.size(); ++c) {
    const WeightSums sums(layer, c);
    const std::int64_t bias = layer.requantization.bias[c], start = bias - sums.folded(layer);
    bound = std::max(bound, sums.largest_sum() + std::max(std::abs(start), std::abs(bias)));
  }
  return bound;
}

std::int64_t largest_bias(const QuantizedLayer& layer, std::size_t channel) {
  const WeightSums sums(layer, channel);
  return std::numeric_limits<std::int32_t>::max() - sums.largest_sum() - std::abs(sums.folded(layer));
}

void check(const QuantizedNetwork& n) {
  const auto is_code = [](int z) { return z >= 0 && z <= 255; };
  if (n.layers.size() != n.network.layers.size())
    fail("{}: {} layers of weights for {} layers", n.network.name, n.layers.size(), n.network.layers.size());
  if (n.mean.size() != std::size_t(n.network.input_channels) || n.standard_deviation.size() != n.mean.size())
    fail("{}: normalization: expected {} values of mean and standard deviation", n.network.name,
         n.network.input_channels);
  if (!std::all_of(n.standard_deviation.begin(), n.standard_deviation.end(), is_scale) ||
      !std::all_of(n.mean.begin(), n.mean.end(), [](double x) { return x == 0 || is_scale(std::abs(x)); }))
    fail("{}: normalization: expected means and positive standard deviations in the range of float32", n.network.name);
  for (std::size_t i = 0; i < n.layers.size(); ++i) {
    const Layer& shape = n.network.layers[i];
    const QuantizedLayer& layer = n.layers[i];
    const auto bad = [&](std::string_view what) { fail("{}: layer {}: {}", n.network.name, shape.name, what); };
    const std::size_t channels = shape.out_channels;
    if (layer.weights.size() != channels * shape.fan_in())
      bad(fmt::format("expected {} x {} weights, found {}", channels, shape.fan_in(), layer.weights.size()));
    if (layer.weight_scale.size() != channels || layer.requantization.bias.size() != channels ||
        layer.requantization.multiplier.size() != channels)
      bad(fmt::format("expected {} weight scales, biases and multipliers", channels));
    if (!is_scale(layer.input.scale) || !is_scale(layer.output.scale))
      bad("expected positive input and output scales in the range of float32");
    if (!is_code(layer.input.zero_point) || !is_code(layer.output.zero_point)) bad("expected zero points in 0..255");
    if (shape.relu && layer.output.zero_point != 0) bad("a ReLU output must have zero point 0");
    if (i > 0 && (layer.input.scale != n.layers[i - 1].output.scale ||
                  layer.input.zero_point != n.layers[i - 1].output.zero_point))
      bad("its input scale differs from the output scale of the layer before");
    for (std::size_t c = 0; c < channels; ++c) {
      if (!is_scale(layer.weight_scale[c]))
        bad(fmt::format("weight scale of channel {} is not positive or not in the range of float32", c));
      if (n.scheme == Scheme::qnnpack && layer.weight_scale[c] != layer.weight_scale[0])
        bad(fmt::format("weight scale of channel {} is not that of channel 0: qnnpack has one a layer", c));
      if (layer.requantization.multiplier[c] !=
          static_cast<float>(layer.input.scale * layer.weight_scale[c] / layer.output.scale))
        bad(fmt::format("multiplier of channel {} is not s_in * s_w / s_out", c));
      if (!is_scale(layer.requantization.multiplier[c]))
        bad(fmt::format("multiplier of channel {} is not positive or not in the range of float32", c));
      if (std::abs(std::int64_t(layer.requantization.bias[c])) > largest_bias(layer, c))
        bad(fmt::format(
            "accumulators of channel {} can leave 32 bits: bias {}, at most {} to either side fits beside its weights",
            c, layer.requantization.bias[c], largest_bias(layer, c)));
    }
  }
}

void check_repair(const QuantizedNetwork& n, const Repair& repair) {
  for (std::size_t l = 0; l < repair.size(); ++l) {
    if (!repair[l]) continue;
    const auto bad = [&](const std::string& what) { fail("repair: layer {}: {}", n.network.layers.at(l).name, what); };
    const std::size_t channels = n.layers.at(l).requantization.bias.size();
    if (repair[l]->multiplier.size() != channels || repair[l]->bias.size() != channels)
      bad(fmt::format("expected {} multipliers and biases", channels));
    for (std::size_t c = 0; c < channels; ++c) {
      if (!is_scale(repair[l]->multiplier[c]))
        bad(fmt::format("multiplier {} of channel {} is not positive or not in the range of float32",
                        repair[l]->multiplier[c], c));
      if (std::abs(std::int64_t(repair[l]->bias[c])) > largest_bias(n.layers[l], c))
        bad(fmt::format(
            "accumulators of channel {} can leave 32 bits: bias {}, at most {} to either side fits beside its weights",
            c, repair[l]->bias[c], largest_bias(n.layers[l], c)));
    }
  }
}

}  // namespace triseg
