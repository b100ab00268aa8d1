#include "worker/reference_operations.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace triseg {
namespace {

/// What every operation takes.
struct Operands {
  const QuantizedNetwork& network;
  std::size_t number;
  std::span<const std::span<const std::uint8_t>> inputs;
  std::span<const int> positions;

  const Node& node() const { return network.network.nodes[number]; }
  const QuantizedNode& numbers() const { return network.nodes[number]; }
  const Shape& shape(std::size_t operand) const { return network.network.shape(node().inputs[operand]); }
  int zero_point(std::size_t operand) const { return network.scale(node().inputs[operand]).zero_point; }
  int channels() const { return node().shape.channels; }

  std::uint8_t requantized(std::int32_t n, float multiplier) const {
    const QuantizedNode& q = numbers();
    return requantize(n, multiplier, q.output.zero_point, q.lowest, q.highest);
  }

  /// A code of an operand, which is broadcast where it is 1 wide.
  std::uint8_t code(std::size_t operand, int channel, int y, int x) const {
    const Shape& s = shape(operand);
    const int c = s.channels == 1 ? 0 : channel, row = s.height == 1 ? 0 : y, column = s.width == 1 ? 0 : x;
    return inputs[operand][(std::size_t(c) * s.height + row) * s.width + column];
  }

  /// Calls f(channel, y, x) for all channels of all positions.
  template <class F>
  std::vector<std::uint8_t> each(const F& f) const {
    std::vector<std::uint8_t> codes;
    codes.reserve(positions.size() * channels());
    for (const int position : positions)
      for (int c = 0; c < channels(); ++c)
        codes.push_back(f(c, position / node().shape.width, position % node().shape.width));
    return codes;
  }
};

/// Calls f(index in the window, index in the plane) for what of the window at (y, x) lies inside the plane.
template <class F>
void over_window(const Window& w, const Shape& plane, int y, int x, const F& f) {
  for (int i = 0; i < w.height; ++i) {
    const int row = y * w.stride_y - w.pad_top + i * w.dilation_y;
    if (row < 0 || row >= plane.height) continue;
    for (int j = 0; j < w.width; ++j) {
      const int column = x * w.stride_x - w.pad_left + j * w.dilation_x;
      if (column >= 0 && column < plane.width) f(i * w.width + j, row * plane.width + column);
    }
  }
}

/// Positions of the window at (y, x) that lie inside the plane or its padding, and not beyond it.
int positions_with_padding(const Window& w, const Shape& plane, int y, int x) {
  int rows = 0, columns = 0;
  for (int i = 0; i < w.height; ++i)
    rows += y * w.stride_y + i * w.dilation_y < w.pad_top + plane.height + w.pad_bottom;
  for (int j = 0; j < w.width; ++j)
    columns += x * w.stride_x + j * w.dilation_x < w.pad_left + plane.width + w.pad_right;
  return rows * columns;
}

ReferenceOutput convolution(const Operands& o, const Requantization& used) {
  const Node& node = o.node();
  const Shape& in = o.shape(0);
  const int area = node.window.height * node.window.width, zero = o.zero_point(0);
  const int group_inputs = in.channels / node.groups, group_outputs = node.shape.channels / node.groups;
  const std::vector<std::int8_t>& weights = o.numbers().weights;
  ReferenceOutput result;
  result.codes = o.each([&](int c, int y, int x) {
    std::int32_t sum = used.bias[c];
    for (int i = 0; i < group_inputs; ++i) {
      const std::int8_t* const w = &weights[(std::size_t(c) * group_inputs + i) * area];
      const std::uint8_t* const plane =
          &o.inputs[0][std::size_t(c / group_outputs * group_inputs + i) * in.positions()];
      over_window(node.window, in, y, x, [&](int at, int from) { sum += (plane[from] - zero) * w[at]; });
    }
    result.accumulators.push_back(sum);
    return o.requantized(sum, used.multiplier[c]);
  });
  return result;
}

std::vector<std::uint8_t> average(const Operands& o) {
  const Window& window = o.node().window;
  const Shape& in = o.shape(0);
  return o.each([&](int c, int y, int x) {
    const std::uint8_t* const plane = &o.inputs[0][std::size_t(c) * in.positions()];
    std::int32_t sum = 0;
    int inside = 0;
    over_window(window, in, y, x, [&](int, int from) {
      sum += plane[from] - o.zero_point(0);
      ++inside;
    });
    const int count = o.node().count_padding ? positions_with_padding(window, in, y, x) : inside;
    return o.requantized(sum, average_multiplier(o.network, o.number, count));
  });
}

std::vector<std::uint8_t> maximum(const Operands& o) {
  return o.each([&](int c, int y, int x) {
    const std::uint8_t* const plane = &o.inputs[0][std::size_t(c) * o.shape(0).positions()];
    std::uint8_t largest = 0;
    over_window(o.node().window, o.shape(0), y, x, [&](int, int from) { largest = std::max(largest, plane[from]); });
    return largest;
  });
}

std::vector<std::uint8_t> add(const Operands& o) {
  const auto a = add_table(o.network, o.number, 0), b = add_table(o.network, o.number, 1);
  return o.each([&](int c, int y, int x) {
    return round_sum(a[o.code(0, c, y, x)] + b[o.code(1, c, y, x)], o.numbers().lowest, o.numbers().highest);
  });
}

std::vector<std::uint8_t> multiply(const Operands& o) {
  const float multiplier = multiply_multiplier(o.network, o.number);
  return o.each([&](int c, int y, int x) {
    return o.requantized((o.code(0, c, y, x) - o.zero_point(0)) * (o.code(1, c, y, x) - o.zero_point(1)), multiplier);
  });
}

std::vector<std::uint8_t> concatenate(const Operands& o) {
  const std::vector<CodeMap>& maps = o.numbers().maps;
  return o.each([&](int c, int y, int x) {
    std::size_t operand = 0;
    for (; c >= o.shape(operand).channels; ++operand) c -= o.shape(operand).channels;
    const Shape& in = o.shape(operand);
    const std::uint8_t q = o.inputs[operand][(std::size_t(c) * in.height + y) * in.width + x];
    return maps.empty() ? q : maps[operand][q];
  });
}

std::vector<std::uint8_t> table(const Operands& o) {
  return o.each([&](int c, int y, int x) { return o.numbers().maps[0][o.code(0, c, y, x)]; });
}

std::vector<std::uint8_t> constant(const Operands& o) {
  const Shape& shape = o.node().shape;
  return o.each(
      [&](int c, int y, int x) { return o.numbers().codes[(std::size_t(c) * shape.height + y) * shape.width + x]; });
}

}  // namespace

std::uint8_t requantize(std::int32_t n, float multiplier, int zero_point, int lowest, int highest) {
  const float scaled = std::nearbyint(static_cast<float>(n) * multiplier);  // half to even
  // Clamp in float first: an int conversion of a huge value would be undefined.
  return static_cast<std::uint8_t>(
      std::clamp(scaled + static_cast<float>(zero_point), static_cast<float>(lowest), static_cast<float>(highest)));
}

std::uint8_t round_sum(std::int32_t sum, int lowest, int highest) {
  constexpr std::int32_t one = std::int32_t{1} << add_fraction_bits;
  const std::int32_t whole = sum >> add_fraction_bits, fraction = sum & (one - 1);
  const bool up = fraction > one / 2 || (fraction == one / 2 && whole % 2 != 0);
  return static_cast<std::uint8_t>(std::clamp(whole + up, lowest, highest));
}

ReferenceOutput reference_node(const QuantizedNetwork& network, std::size_t node,
                               std::span<const std::span<const std::uint8_t>> inputs, const Requantization& used,
                               std::span<const int> positions) {
  const Operands operands{network, node, inputs, positions};
  switch (network.network.nodes[node].operation) {
    case Operation::convolution: return convolution(operands, used);
    case Operation::average: return {{}, average(operands)};
    case Operation::maximum: return {{}, maximum(operands)};
    case Operation::add: return {{}, add(operands)};
    case Operation::multiply: return {{}, multiply(operands)};
    case Operation::concatenate: return {{}, concatenate(operands)};
    case Operation::table: return {{}, table(operands)};
    case Operation::constant: break;
  }
  return {{}, constant(operands)};
}

double self_test_share(const Network& network) {
  constexpr double macs = 1 << 24;
  double work = 0;
  for (const Node& node : network.nodes)
    work += node.operation == Operation::convolution
                ? network.macs(node)
                : double(node.shape.size()) * node.window.height * node.window.width;
  return std::min(1.0, macs / work);
}

std::vector<int> some_of(int count, int most) {
  std::vector<int> numbers(std::min(count, std::max(most, 4)));
  for (std::size_t i = 0; i < numbers.size(); ++i)
    numbers[i] = numbers.size() == std::size_t(count)
                     ? int(i)
                     : int(std::int64_t(i) * (count - 1) / std::int64_t(numbers.size() - 1));
  return numbers;
}

}  // namespace triseg
