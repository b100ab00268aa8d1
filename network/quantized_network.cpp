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

std::array<std::uint8_t, 256> input_codes(const QuantizedNetwork& n, int channel) {
  std::array<std::uint8_t, 256> codes{};
  const auto mean = static_cast<float>(n.mean[channel]), deviation = static_cast<float>(n.standard_deviation[channel]);
  const auto scale = static_cast<float>(n.input.scale);
  for (int pixel = 0; pixel < 256; ++pixel) {
    const float x = (static_cast<float>(pixel) / 255.0f - mean) / deviation;
    codes[pixel] = static_cast<std::uint8_t>(std::clamp(std::nearbyint(x / scale) + n.input.zero_point, 0.0f, 255.0f));
  }
  return codes;
}

namespace {

/// An entry of add_table before it becomes an integer; whole, as double holds it.
double add_entry(const QuantizedNetwork& n, std::size_t node, std::size_t operand, int code) {
  constexpr double one = 1 << add_fraction_bits;
  const CodeScale& in = n.scale(n.network.nodes[node].inputs[operand]);
  const CodeScale& out = n.nodes[node].output;
  const double term = std::nearbyint(in.scale * (code - in.zero_point) / out.scale * one);
  return operand == 0 ? term + out.zero_point * one : term;
}

/// Sums over the weights of one channel.
struct WeightSums {
  std::int64_t positive = 0, negative = 0;  ///< sizes of the positive and of the negative ones

  WeightSums(const QuantizedNode& node, std::size_t channel) {
    const std::size_t fan_in = node.weights.size() / node.requantization.bias.size();
    for (std::size_t i = 0; i < fan_in; ++i) {
      const int w = node.weights[channel * fan_in + i];
      (w > 0 ? positive : negative) += std::abs(w);
    }
  }
  /// The most that codes 0..255 add to the bias.
  std::int64_t largest_sum() const { return 255 * std::max(positive, negative); }
  /// The zero point is folded into the bias by engines that feed plain codes: the bias they start from is less by this.
  std::int64_t folded(const CodeScale& input) const { return input.zero_point * (positive - negative); }
};

/// A float32 number with all its bits. Scales become float32 in tables and multipliers, where others are 0, inexact or
/// infinite.
bool is_scale(double x) { return x >= std::numeric_limits<float>::min() && x <= std::numeric_limits<float>::max(); }

bool is_code(int code) { return code >= 0 && code <= 255; }

}  // namespace

std::array<std::int32_t, 256> add_table(const QuantizedNetwork& n, std::size_t node, std::size_t operand) {
  std::array<std::int32_t, 256> table{};
  for (int code = 0; code < 256; ++code) table[code] = static_cast<std::int32_t>(add_entry(n, node, operand, code));
  return table;
}

float multiply_multiplier(const QuantizedNetwork& n, std::size_t node) {
  const std::vector<int>& inputs = n.network.nodes[node].inputs;
  return static_cast<float>(n.scale(inputs[0]).scale * n.scale(inputs[1]).scale / n.nodes[node].output.scale);
}

float average_multiplier(const QuantizedNetwork& n, std::size_t node, int count) {
  return static_cast<float>(n.input_scale(node).scale / (n.nodes[node].output.scale * count));
}

std::int64_t accumulator_bound(const QuantizedNetwork& n, std::size_t index) {
  const QuantizedNode& node = n.nodes[index];
  std::int64_t bound = 0;
  for (std::size_t c = 0; c < node.requantization.bias.size(); ++c) {
    const WeightSums sums(node, c);
    const std::int64_t bias = node.requantization.bias[c], start = bias - sums.folded(n.input_scale(index));
    bound = std::max(bound, sums.largest_sum() + std::max(std::abs(start), std::abs(bias)));
  }
  return bound;
}

std::int64_t largest_bias(const QuantizedNetwork& n, std::size_t index, std::size_t channel) {
  const WeightSums sums(n.nodes[index], channel);
  return std::numeric_limits<std::int32_t>::max() - sums.largest_sum() - std::abs(sums.folded(n.input_scale(index)));
}

namespace {

/// Checks one node; those before it are right.
class NodeCheck {
 public:
  NodeCheck(const QuantizedNetwork& n, std::size_t index)
      : n_(n), index_(index), shape_(n.network.nodes[index]), node_(n.nodes[index]) {}

  void check() const {
    if (!is_scale(node_.output.scale)) bad("expected a positive output scale in the range of float32");
    if (!is_code(node_.output.zero_point)) bad("expected an output zero point in 0..255");
    if (!is_code(node_.lowest) || !is_code(node_.highest) || node_.lowest > node_.highest)
      bad(fmt::format("expected lowest and highest codes in 0..255, found {} and {}", node_.lowest, node_.highest));
    if (shape_.relu && (node_.output.zero_point != 0 || node_.lowest != 0))
      bad("a ReLU output must have zero point 0 and lowest code 0");
    check_members();
    switch (shape_.operation) {
      case Operation::convolution: convolution(); break;
      case Operation::average: average(); break;
      case Operation::maximum: keeps_scale(shape_.inputs.front()); break;
      case Operation::add: add(); break;
      case Operation::multiply:
        if (!is_scale(multiply_multiplier(n_, index_)))
          bad("its multiplier is not positive or not in the range of float32");
        break;
      case Operation::concatenate:
        if (node_.maps.empty())
          for (const int input : shape_.inputs) keeps_scale(input);
        within(node_.maps);
        break;
      case Operation::table: within(node_.maps); break;
      case Operation::constant:
        for (const std::uint8_t code : node_.codes) within(code);
        break;
    }
  }

 private:
  [[noreturn]] void bad(const std::string& what) const { fail("{}: node {}: {}", n_.network.name, shape_.name, what); }

  /// Each member has the size that the operation gives it.
  void check_members() const {
    const bool convolution = shape_.operation == Operation::convolution;
    const std::size_t channels = convolution ? shape_.shape.channels : 0;
    const std::size_t fan_in = convolution ? n_.network.fan_in(shape_) : 0;
    if (node_.weights.size() != channels * fan_in)
      bad(fmt::format("expected {} x {} weights, found {}", channels, fan_in, node_.weights.size()));
    if (node_.weight_scale.size() != channels || node_.requantization.bias.size() != channels ||
        node_.requantization.multiplier.size() != channels)
      bad(fmt::format("expected {} weight scales, biases and multipliers", channels));
    const bool concatenate = shape_.operation == Operation::concatenate;
    const std::size_t maps = concatenate ? shape_.inputs.size() : shape_.operation == Operation::table ? 1 : 0;
    if (node_.maps.size() != maps && !(concatenate && node_.maps.empty()))
      bad(fmt::format("expected {} maps of codes, found {}", maps, node_.maps.size()));
    const std::size_t codes = shape_.operation == Operation::constant ? shape_.shape.size() : 0;
    if (node_.codes.size() != codes)
      bad(fmt::format("expected {} codes of a constant, found {}", codes, node_.codes.size()));
  }

  void convolution() const {
    const CodeScale& input = n_.input_scale(index_);
    for (std::size_t c = 0; c < node_.weight_scale.size(); ++c) {
      if (!is_scale(node_.weight_scale[c]))
        bad(fmt::format("weight scale of channel {} is not positive or not in the range of float32", c));
      if (n_.scheme == Scheme::qnnpack && node_.weight_scale[c] != node_.weight_scale[0])
        bad(fmt::format("weight scale of channel {} is not that of channel 0: qnnpack has one a node", c));
      const float multiplier = node_.requantization.multiplier[c];
      if (multiplier != static_cast<float>(input.scale * node_.weight_scale[c] / node_.output.scale))
        bad(fmt::format("multiplier of channel {} is not s_in * s_w / s_out", c));
      if (!is_scale(multiplier))
        bad(fmt::format("multiplier of channel {} is not positive or not in the range of float32", c));
      const std::int64_t most = largest_bias(n_, index_, c);
      if (std::abs(std::int64_t(node_.requantization.bias[c])) > most)
        bad(fmt::format(
            "accumulators of channel {} can leave 32 bits: bias {}, at most {} to either side fits beside its weights",
            c, node_.requantization.bias[c], most));
    }
  }

  void average() const {
    const std::int64_t area = std::int64_t(shape_.window.height) * shape_.window.width;
    if (255 * area > std::numeric_limits<std::int32_t>::max())
      bad(fmt::format("sums over windows of {} codes can leave 32 bits", area));
    for (const std::int64_t count : {std::int64_t{1}, area})
      if (!is_scale(average_multiplier(n_, index_, static_cast<int>(count))))
        bad(fmt::format("its multiplier of {} codes is not positive or not in the range of float32", count));
  }

  void add() const {
    double least = 0, most = 0;
    for (std::size_t operand = 0; operand < 2; ++operand) {
      least += add_entry(n_, index_, operand, 0);
      most += add_entry(n_, index_, operand, 255);
    }
    // A table by itself is within the limits if its ends are.
    for (std::size_t operand = 0; operand < 2; ++operand)
      for (const int code : {0, 255}) {
        least = std::min(least, add_entry(n_, index_, operand, code));
        most = std::max(most, add_entry(n_, index_, operand, code));
      }
    if (!(least >= std::numeric_limits<std::int32_t>::min() && most <= std::numeric_limits<std::int32_t>::max()))
      bad("sums of its operands can leave 32 bits: their scales are too large for its output scale");
  }

  void keeps_scale(int input) const {
    if (n_.scale(input) != node_.output)
      bad(fmt::format("the scale or zero point of its input {} is not that of its output", name(input)));
    const int lowest = input == image_value ? 0 : n_.nodes[input].lowest;
    const int highest = input == image_value ? 255 : n_.nodes[input].highest;
    if (lowest < node_.lowest || highest > node_.highest)
      bad(fmt::format("the codes {}..{} of its input {} leave its range {}..{}", lowest, highest, name(input),
                      node_.lowest, node_.highest));
  }

  void within(const std::vector<CodeMap>& maps) const {
    for (const CodeMap& map : maps)
      for (const std::uint8_t code : map) within(code);
  }
  void within(std::uint8_t code) const {
    if (code < node_.lowest || code > node_.highest)
      bad(fmt::format("code {} leaves its range {}..{}", code, node_.lowest, node_.highest));
  }

  std::string name(int input) const { return input == image_value ? "image" : n_.network.nodes[input].name; }

  const QuantizedNetwork& n_;
  std::size_t index_;
  const Node& shape_;
  const QuantizedNode& node_;
};

}  // namespace

void check(const QuantizedNetwork& n) {
  if (n.nodes.size() != n.network.nodes.size())
    fail("{}: numbers of {} nodes for {} nodes", n.network.name, n.nodes.size(), n.network.nodes.size());
  if (n.mean.size() != std::size_t(n.network.input.channels) || n.standard_deviation.size() != n.mean.size())
    fail("{}: normalization: expected {} values of mean and standard deviation", n.network.name,
         n.network.input.channels);
  if (!std::all_of(n.standard_deviation.begin(), n.standard_deviation.end(), is_scale) ||
      !std::all_of(n.mean.begin(), n.mean.end(), [](double x) { return x == 0 || is_scale(std::abs(x)); }))
    fail("{}: normalization: expected means and positive standard deviations in the range of float32", n.network.name);
  if (!is_scale(n.input.scale)) fail("{}: input: expected a positive scale in the range of float32", n.network.name);
  if (!is_code(n.input.zero_point)) fail("{}: input: expected a zero point in 0..255", n.network.name);
  for (std::size_t i = 0; i < n.nodes.size(); ++i) NodeCheck(n, i).check();
}

void check_repair(const QuantizedNetwork& n, const Repair& repair) {
  if (!repair.empty() && repair.size() != n.nodes.size())
    fail("repair: expected {} nodes, found {}", n.nodes.size(), repair.size());
  for (std::size_t i = 0; i < repair.size(); ++i) {
    if (!repair[i]) continue;
    const Node& node = n.network.nodes[i];
    const auto bad = [&](const std::string& what) { fail("repair: node {}: {}", node.name, what); };
    if (node.operation != Operation::convolution)
      bad(fmt::format("expected a convolution or fully connected layer, found a node of kind {}",
                      operation_name(node.operation)));
    const std::size_t channels = n.nodes[i].requantization.bias.size();
    if (repair[i]->multiplier.size() != channels || repair[i]->bias.size() != channels)
      bad(fmt::format("expected {} multipliers and biases", channels));
    for (std::size_t c = 0; c < channels; ++c) {
      if (!is_scale(repair[i]->multiplier[c]))
        bad(fmt::format("multiplier {} of channel {} is not positive or not in the range of float32",
                        repair[i]->multiplier[c], c));
      const std::int64_t most = largest_bias(n, i, c);
      if (std::abs(std::int64_t(repair[i]->bias[c])) > most)
        bad(fmt::format(
            "accumulators of channel {} can leave 32 bits: bias {}, at most {} to either side fits beside its weights",
            c, repair[i]->bias[c], most));
    }
  }
}

}  // namespace triseg
