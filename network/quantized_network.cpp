#include "network/quantized_network.hpp"

#include "core/error.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace triseg {

std::string_view scheme_name(Scheme scheme) { return scheme == Scheme::fbgemm ? "fbgemm" : "qnnpack"; }

Scheme parse_scheme(std::string_view name) {
  if (name == "fbgemm") return Scheme::fbgemm;
  if (name == "qnnpack") return Scheme::qnnpack;
  fail("unknown backend '{}': expected fbgemm or qnnpack", name);
}

int activation_range(Scheme scheme) { return scheme == Scheme::fbgemm ? 127 : 255; }

int lowest_code(const Layer& layer, const QuantizedLayer& quantized) { return layer.relu ? quantized.output.zero_point : 0; }

std::array<std::uint8_t, 256> input_codes(const QuantizedNetwork& n, int channel) {
  std::array<std::uint8_t, 256> codes{};
  const auto mean = static_cast<float>(n.mean[channel]), deviation = static_cast<float>(n.standard_deviation[channel]);
  const auto scale = static_cast<float>(n.input().scale);
  for (int pixel = 0; pixel < 256; ++pixel) {
    const float x = (static_cast<float>(pixel) / 255.0f - mean) / deviation;
    codes[pixel] = static_cast<std::uint8_t>(std::clamp(std::nearbyint(x / scale) + n.input().zero_point, 0.0f, 255.0f));
  }
  return codes;
}

std::int64_t accumulator_bound(const QuantizedLayer& layer) {
  const std::size_t channels = layer.requantization.bias.size(), fan_in = layer.weights.size() / channels;
  std::int64_t bound = 0;
  for (std::size_t c = 0; c < channels; ++c) {
    std::int64_t positive = 0, negative = 0;
    for (std::size_t i = 0; i < fan_in; ++i) {
      const int w = layer.weights[c * fan_in + i];
      (w > 0 ? positive : negative) += std::abs(w);
    }
    // The zero point is folded into the bias by engines that feed plain codes: the bias they start from is this one.
    const std::int64_t start = layer.requantization.bias[c] - std::int64_t(layer.input.zero_point) * (positive - negative);
    bound = std::max(bound, 255 * std::max(positive, negative) +
                                std::max(std::abs(start), std::abs(std::int64_t(layer.requantization.bias[c]))));
  }
  return bound;
}

void check(const QuantizedNetwork& n) {
  const auto positive = [](double x) { return std::isfinite(x) && x > 0; };
  const auto is_code = [](int z) { return z >= 0 && z <= 255; };
  if (n.layers.size() != n.network.layers.size())
    fail("{}: {} layers of weights for {} layers", n.network.name, n.layers.size(), n.network.layers.size());
  if (n.mean.size() != std::size_t(n.network.input_channels) || n.standard_deviation.size() != n.mean.size())
    fail("{}: normalization: expected {} values of mean and standard deviation", n.network.name, n.network.input_channels);
  if (!std::all_of(n.standard_deviation.begin(), n.standard_deviation.end(), positive) ||
      !std::all_of(n.mean.begin(), n.mean.end(), [](double x) { return std::isfinite(x); }))
    fail("{}: normalization: expected finite means and positive standard deviations", n.network.name);
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
    if (!positive(layer.input.scale) || !positive(layer.output.scale)) bad("expected positive input and output scales");
    if (!is_code(layer.input.zero_point) || !is_code(layer.output.zero_point)) bad("expected zero points in 0..255");
    if (shape.relu && layer.output.zero_point != 0) bad("a ReLU output must have zero point 0");
    if (i > 0 && (layer.input.scale != n.layers[i - 1].output.scale || layer.input.zero_point != n.layers[i - 1].output.zero_point))
      bad("its input scale differs from the output scale of the layer before");
    for (std::size_t c = 0; c < channels; ++c) {
      if (!positive(layer.weight_scale[c])) bad(fmt::format("weight scale of channel {} is not positive", c));
      if (layer.requantization.multiplier[c] !=
          static_cast<float>(layer.input.scale * layer.weight_scale[c] / layer.output.scale))
        bad(fmt::format("multiplier of channel {} is not s_in * s_w / s_out", c));
      if (!positive(layer.requantization.multiplier[c])) bad(fmt::format("multiplier of channel {} is not positive and finite", c));
    }
  }
}

}  // namespace triseg
