#include "importer/weights.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>

namespace triseg {
namespace {

/// Accumulators without bias that a channel can have, and those from which on its codes are 1, 2, ...
struct Steps {
  std::int64_t least = 0, most = 0;
  std::vector<std::int64_t> first;  // ascending; above `most` where no accumulator reaches the code

  int code(std::int64_t accumulator) const {
    return int(std::upper_bound(first.begin(), first.end(), accumulator) - first.begin());
  }
};

/// How many of the steps a multiplier and a bias miss; all where accumulators leave 32 bits.
int missed(const Steps& steps, float multiplier, std::int64_t bias, int zero_point) {
  const int highest = int(steps.first.size());
  const double reach = double(std::max(std::abs(steps.least + bias), std::abs(steps.most + bias)));
  if (!(multiplier >= std::numeric_limits<float>::min()) || reach > std::numeric_limits<std::int32_t>::max())
    return highest;
  const auto code = [&](std::int64_t accumulator) {
    const float scaled = float(std::int32_t(accumulator + bias)) * multiplier;
    return int(std::clamp(std::nearbyint(scaled) + float(zero_point), 0.0f, float(highest)));
  };
  int result = code(steps.least) != steps.code(steps.least) || code(steps.most) != steps.code(steps.most);
  for (const std::int64_t first : steps.first)
    if (first > steps.least && first <= steps.most)
      result += code(first) != steps.code(first) || code(first - 1) != steps.code(first - 1);
  return result;
}

struct Fit {
  int missed = std::numeric_limits<int>::max();
  float multiplier = 1;
  std::int64_t bias = 0;
};

/// Code k begins at accumulator A where (A - 1 + bias) * m < k - zero_point - 1/2 <= (A + bias) * m. For a bias these
/// are bounds of 1 / m; `start` and `slope` are a bias and 1 / m that are near.
Fit fit(const Steps& steps, int zero_point, double start, double slope) {
  Fit best{int(steps.first.size()), 1, 0};
  if (steps.least == steps.most) return {0, 1, steps.code(steps.least) - zero_point - steps.least};
  if (!(std::abs(start) < std::numeric_limits<std::int32_t>::max())) return best;
  const auto take = [&](double inverse, std::int64_t bias) {
    if (!(inverse > 0)) return;
    const float multiplier = float(1 / inverse);
    const int found = missed(steps, multiplier, bias, zero_point);
    if (found < best.missed) best = {found, multiplier, bias};
  };
  const std::int64_t around = std::llround(start);
  for (std::int64_t bias = around - 2; bias <= around + 2 && best.missed > 0; ++bias) {
    double low = 0, high = std::numeric_limits<double>::infinity();
    for (std::size_t k = 0; k < steps.first.size(); ++k) {
      if (steps.first[k] <= steps.least || steps.first[k] > steps.most) continue;
      const double step = double(k) + 0.5 - zero_point;
      const double a = double(steps.first[k] - 1 + bias) / step, b = double(steps.first[k] + bias) / step;
      low = std::max(low, std::min(a, b));
      high = std::min(high, std::max(a, b));
    }
    take(slope, bias);
    if (low <= high && std::isfinite(high) && high > 0)
      for (const double part : {0.5, 0.25, 0.75, 0.02, 0.98, 0.0, 1.0}) take(low + part * (high - low), bias);
  }
  return best;
}

}  // namespace

int set_thresholds(Draft& draft, const std::vector<std::vector<double>>& thresholds, double input, int zero_point,
                   int least, int most) {
  QuantizedNode& numbers = draft.numbers;
  const std::size_t channels = draft.bias.size(), fan_in = numbers.weights.size() / channels;
  int result = 0;
  for (std::size_t c = 0; c < channels; ++c) {
    std::int8_t* weights = numbers.weights.data() + c * fan_in;
    Steps sums;
    int largest = 1;
    for (std::size_t i = 0; i < fan_in; ++i) {
      largest = std::max(largest, std::abs(int(weights[i])));
      sums.least += std::min(weights[i] * least, weights[i] * most);
      sums.most += std::max(weights[i] * least, weights[i] * most);
    }
    std::vector<double> sorted = thresholds[thresholds.size() == 1 ? 0 : c];
    std::sort(sorted.begin(), sorted.end());
    Fit best;
    int finer = 1;
    for (int factor = 1; factor * largest <= 127 && best.missed > 0; ++factor) {
      // Thresholds in accumulators: as they stand, and with those that float32 does not tell from an integer as one.
      const double unit = input * numbers.weight_scale[c] / factor, bias = draft.bias[c] * factor;
      for (const double noise : {0.0, 2e-7}) {
        Steps steps{factor * sums.least, factor * sums.most, {}};
        for (const double threshold : sorted) {
          const double real = threshold / unit - bias, whole = std::nearbyint(real);
          const bool equal =
              std::abs(real - whole) <= std::min(noise * (std::abs(threshold / unit) + std::abs(bias)), 0.01);
          double first = equal ? whole : std::ceil(real);
          if (threshold <= draft.tail.lower) first = double(steps.least);
          if (threshold > draft.tail.upper) first = double(steps.most + 1);
          if (!std::isfinite(first)) return int(channels * sorted.size());
          steps.first.push_back(std::int64_t(std::clamp(first, double(steps.least), double(steps.most + 1))));
        }
        const double spread = sorted.back() - sorted.front();
        const double slope = spread > 0 ? spread / unit / double(sorted.size() - 1) : 1;
        // The bias with which the middle step is where it belongs.
        const std::size_t middle = sorted.size() / 2;
        const double start = (double(middle) + 0.5 - zero_point) * slope - sorted[middle] / unit + bias;
        const Fit found = fit(steps, zero_point, start, slope);
        if (found.missed < best.missed) best = found, finer = factor;
      }
    }
    result += best.missed;
    for (std::size_t i = 0; i < fan_in; ++i) weights[i] = static_cast<std::int8_t>(finer * weights[i]);
    numbers.requantization.multiplier.push_back(best.multiplier);
    numbers.requantization.bias.push_back(static_cast<std::int32_t>(best.bias));
  }
  return result;
}

namespace {

/// What one weight, its multiplier and its bias must make of each input from `least` on.
struct Line {
  int least = 0;
  std::vector<int> codes;  // less the output's zero point
  int lowest = 0, highest = 255;

  int missed(int weight, std::int64_t bias, float multiplier) const {
    int result = 0;
    for (std::size_t i = 0; i < codes.size(); ++i) {
      const float sum = static_cast<float>(weight * (least + static_cast<int>(i)) + bias);
      result +=
          static_cast<int>(std::clamp(std::nearbyint(sum * multiplier), float(lowest), float(highest))) != codes[i];
    }
    return result;
  }
  /// A multiplier in the middle of those that fit, or nothing.
  std::optional<float> multiplier(int weight, std::int64_t bias) const {
    double low = std::numeric_limits<float>::min(), high = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < codes.size(); ++i) {
      const double sum = double(weight * (least + static_cast<int>(i)) + bias);
      const double below = codes[i] > lowest ? codes[i] - 0.5 : -std::numeric_limits<double>::infinity();
      const double above = codes[i] < highest ? codes[i] + 0.5 : std::numeric_limits<double>::infinity();
      if (sum == 0 && (below > 0 || above < 0)) return std::nullopt;
      if (sum == 0) continue;
      low = std::max(low, sum > 0 ? below / sum : above / sum);
      high = std::min(high, sum > 0 ? above / sum : below / sum);
    }
    if (!(low <= high)) return std::nullopt;
    return static_cast<float>(std::isfinite(high) ? (low + high) / 2 : 2 * low);
  }
};

}  // namespace

int fit_codes(Draft& draft, double input, int least, int most, const CodeScale& output, int lowest, int highest) {
  QuantizedNode& numbers = draft.numbers;
  int result = 0;
  for (std::size_t c = 0; c < draft.bias.size(); ++c) {
    const int sign = numbers.weights[c];
    const double step = input * numbers.weight_scale[c] / output.scale;
    Line line{least, {}, lowest - output.zero_point, highest - output.zero_point};
    for (int q = least; q <= most; ++q)
      line.codes.push_back(static_cast<int>(
          std::clamp(std::nearbyint(step * (sign * q + draft.bias[c])), double(line.lowest), double(line.highest))));
    const int first = line.codes.front();
    Fit best{int(std::count_if(line.codes.begin(), line.codes.end(), [&](int code) { return code != first; })), 1,
             first};
    int best_weight = 0;
    // The larger the weight, the finer the unit of the bias.
    for (int weight = 127; weight > 0 && best.missed > 0; --weight) {
      const double around = std::nearbyint(weight * draft.bias[c]);
      if (!(std::abs(around) < 1 << 30)) continue;
      for (const int beside : {0, -1, 1, -2, 2}) {
        const std::int64_t bias = static_cast<std::int64_t>(around) + beside;
        const float multiplier = line.multiplier(sign * weight, bias).value_or(static_cast<float>(step / weight));
        if (!(multiplier >= std::numeric_limits<float>::min())) continue;
        const int missed = line.missed(sign * weight, bias, multiplier);
        if (missed < best.missed) best = {missed, multiplier, bias}, best_weight = sign * weight;
      }
    }
    result += best.missed;
    numbers.weights[c] = static_cast<std::int8_t>(best_weight);
    numbers.requantization.multiplier.push_back(best.multiplier);
    numbers.requantization.bias.push_back(static_cast<std::int32_t>(best.bias));
  }
  return result;
}

void set_weights(const OnnxGraph& graph, const OnnxNode& node, const OnnxTensor& weights, Draft& draft) {
  // Real numbers that are all whole are integers whose scale comes later, as FINN and Brevitas have them.
  if (!weights.quantized) {
    OnnxTensor whole = weights;
    whole.quantized = ConstantScale{{1}, {0}, 0};
    for (const double x : weights.values)
      if (x != std::floor(x) || std::abs(x) > 127)
        graph.refuse(node,
                     "its weights are not quantized; put QuantizeLinear and DequantizeLinear, or Quant, behind them");
    return set_weights(graph, node, whole, draft);
  }
  if (weights.quantized->scale.size() > 1 && weights.quantized->axis != 0)
    graph.refuse(node, "its weights have a scale each along another axis than that of output channels");
  const std::size_t channels = weights.dims.front();
  if (channels == 0 || weights.values.empty()) graph.refuse(node, "has no weights");
  QuantizedNode& numbers = draft.numbers;
  numbers.weights.reserve(weights.values.size());
  for (std::size_t i = 0; i < weights.values.size(); ++i) {
    const double code = weights.values[i] - weights.quantized->zero_point[weights.slice(i)];
    if (!(code >= -128 && code <= 127) || code != std::floor(code))
      graph.refuse(node,
                   "its weights are not symmetric: {} from their zero point; expected whole numbers from -128 to 127, "
                   "as symmetric weights of type int8 have",
                   code);
    numbers.weights.push_back(static_cast<std::int8_t>(code));
  }
  for (std::size_t c = 0; c < channels; ++c) {
    const auto& scale = weights.quantized->scale;
    numbers.weight_scale.push_back(scale[scale.size() == 1 ? 0 : c]);
    if (!(numbers.weight_scale.back() > 0) || !std::isfinite(numbers.weight_scale.back()))
      graph.refuse(node, "the scale of its weights is not positive");
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

void widen_weights(const std::vector<int>& channels, int inputs, Draft& draft) {
  const std::size_t outputs = draft.numbers.weight_scale.size();
  const std::size_t window = draft.numbers.weights.size() / (outputs * channels.size());
  std::vector<std::int8_t> weights(outputs * inputs * window, 0);
  auto from = draft.numbers.weights.begin();
  for (std::size_t o = 0; o < outputs; ++o)
    for (const int channel : channels) {
      std::copy_n(from, window, weights.begin() + (o * inputs + channel) * window);
      from += window;
    }
  draft.numbers.weights = std::move(weights);
}

OnnxTensor with_channels_first(const OnnxTensor& matrix, const Shape& input) {
  OnnxTensor result = matrix;
  const std::size_t size = input.size();
  result.values = matrix.values.reordered([&](std::size_t i) {
    const std::size_t at = i % size, channel = at / input.positions(), position = at % input.positions();
    return i - at + position * input.channels + channel;
  });
  return result;
}

}  // namespace triseg
