#include "worker/cuda/device_step.hpp"

#include <algorithm>
#include <map>

namespace triseg {
namespace {

int round_up(int value, int multiple) { return (value + multiple - 1) / multiple * multiple; }

/// Makes the steps of a problem one after the other.
class Maker {
 public:
  explicit Maker(const Problem& problem) : problem_(problem), model_(problem.model) {}

  std::vector<DeviceStep> make() {
    step_of_.assign(model_.network.nodes.size(), 0);
    for (const Step& step : make_steps(problem_)) {
      const bool together = step.pool >= 0 && fits(model_.network.nodes[step.pool].window);
      add(step.node, together ? step.pool : -1);
      if (step.pool >= 0 && !together) add(step.pool, -1);
      if (step.addition >= 0) products_[step.addition] = step_of_[step.node];
    }
    return std::move(steps_);
  }

 private:
  /// Windows that the kernel of convolutions takes the maximum over.
  static bool fits(const Window& w) { return w.height == w.width && w.height <= largest_pool; }

  void add(std::size_t number, int pool) {
    const Node& node = model_.network.nodes[number];
    const QuantizedNode& numbers = model_.nodes[number];
    DeviceStep d;
    d.node = number;
    d.pool = pool;
    d.operation = node.operation;
    d.site = problem_.site_of(number);
    d.attention = problem_.attention_of(number);
    d.inputs_fixed = true;
    for (const int input : node.inputs) {
      d.inputs.push_back(input == image_value ? image_step : step_of_[input]);
      if (input != image_value) d.inputs_fixed &= steps_[d.inputs.back()].value_fixed;
    }
    const int last = static_cast<int>(model_.network.nodes.size()) - 1;
    const bool logits = last == static_cast<int>(number) || last == pool;
    d.value_fixed = d.inputs_fixed && d.site < 0 && !logits;

    OutputShape& s = d.shape;
    s.height = node.shape.height;
    s.width = node.shape.width;
    s.pool = pool < 0 ? 1 : model_.network.nodes[pool].window.height;
    s.windows_y = (s.height + s.pool - 1) / s.pool;
    s.windows_x = (s.width + s.pool - 1) / s.pool;
    s.pooled_height = s.height / s.pool;
    s.pooled_width = s.width / s.pool;
    s.channels = node.shape.channels;
    s.padded_channels = round_up(s.channels, channel_vector);
    s.by_instance = Divisor(s.windows_y * s.windows_x * s.pool * s.pool);
    s.by_window = Divisor(s.pool * s.pool);
    s.by_row = Divisor(s.windows_x);
    s.by_pool = Divisor(s.pool);
    s.by_vectors = Divisor(s.padded_channels / channel_vector);
    d.epilogue.zero_point = numbers.output.zero_point;
    d.epilogue.lowest = numbers.lowest;
    d.epilogue.highest = numbers.highest;
    d.epilogue.least = static_cast<float>(numbers.lowest - numbers.output.zero_point);
    d.epilogue.most = static_cast<float>(numbers.highest - numbers.output.zero_point);
    d.epilogue.attention_per_channel = s.positions() == 1;

    const Window& w = node.window;
    d.window = {w.height,     w.width,   w.stride_y, w.stride_x,   w.dilation_y,
                w.dilation_x, w.pad_top, w.pad_left, w.pad_bottom, w.pad_right};
    switch (node.operation) {
      case Operation::convolution: add_convolution(d); break;
      case Operation::average: add_average(d); break;
      case Operation::maximum: break;
      case Operation::add: add_tables(d); break;
      case Operation::multiply: d.multiplier = multiply_multiplier(model_, number); break;
      case Operation::concatenate:
      case Operation::table: add_maps(d); break;
      case Operation::constant: add_constant(d); break;
    }
    step_of_[number] = static_cast<int>(steps_.size());
    if (pool >= 0) step_of_[pool] = static_cast<int>(steps_.size());
    if (const auto product = products_.find(number); product != products_.end()) join(product->second, d);
    steps_.push_back(std::move(d));
  }

  /// Lets an addition run with a convolution if the kernel of products can: the other operand is of the same shape.
  void join(int product, DeviceStep& addition) {
    DeviceStep& convolution = steps_[product];
    const int other = addition.inputs[addition.inputs[0] == product];
    if (convolution.depthwise || convolution.pool >= 0 || convolution.value_fixed || convolution.site >= 0 ||
        convolution.attention >= 0 || other == image_step || steps_[other].operation == Operation::constant)
      return;
    const OutputShape &a = addition.shape, &b = steps_[other].shape;
    if (b.pooled_height != a.height || b.pooled_width != a.width || b.channels != a.channels) return;
    convolution.addition = static_cast<int>(steps_.size());
    addition.product = product;
  }

  void add_convolution(DeviceStep& d) const {
    const Node& node = model_.network.nodes[d.node];
    const Shape& in = model_.network.input_shape(node);
    const Window& w = node.window;
    const int zero_point = model_.input_scale(d.node).zero_point;
    d.depthwise = node.groups > 1 && node.groups == in.channels && node.groups == node.shape.channels;
    d.bordered = zero_point != 0 && (w.pad_top > 0 || w.pad_left > 0 || w.pad_bottom > 0 || w.pad_right > 0);
    Convolution& c = d.convolution;
    c.height = in.height;
    c.width = in.width;
    c.channels = round_up(in.channels, channel_vector);
    c.stride_y = w.stride_y;
    c.stride_x = w.stride_x;
    c.pad_top = w.pad_top;
    c.pad_left = w.pad_left;
    if (d.bordered) {
      d.border.height = c.height = in.height + w.pad_top + w.pad_bottom;
      d.border.width = c.width = in.width + w.pad_left + w.pad_right;
      d.border.top = w.pad_top;
      d.border.left = w.pad_left;
      c.pad_top = c.pad_left = 0;
      d.window.pad_top = d.window.pad_left = d.window.pad_bottom = d.window.pad_right = 0;
    }
    if (d.depthwise) lay_out_by_position(d);
    else lay_out_matrix(d);

    const QuantizedNode& numbers = model_.nodes[d.node];
    const std::size_t fan_in = model_.network.fan_in(node);
    for (int o = 0; o < node.shape.channels; ++o) {
      std::int32_t sum = 0;
      for (std::size_t i = 0; i < fan_in; ++i) sum += numbers.weights[o * fan_in + i];
      d.correction.push_back(-zero_point * sum);
    }
    d.device_correction = on_device(std::span<const std::int32_t>(d.correction));
    d.own.multiplier.resize(d.shape.padded_channels);
    d.own.bias.resize(d.shape.padded_channels);
    fill_requantization(d, numbers.requantization, d.own.multiplier.data(), d.own.bias.data());
    d.own_multiplier = on_device(std::span<const float>(d.own.multiplier));
    d.own_bias = on_device(std::span<const std::int32_t>(d.own.bias));
  }

  /// Weights of a depthwise convolution: (window positions / 4, padded_channels, 4), zeros beyond.
  void lay_out_by_position(DeviceStep& d) const {
    const int area = d.window.height * d.window.width;
    std::vector<std::int8_t> weights(std::size_t(round_up(area, 4)) * d.shape.padded_channels, 0);
    for (int c = 0; c < d.shape.channels; ++c)
      for (int at = 0; at < area; ++at)
        weights[(std::size_t(at / 4) * d.shape.padded_channels + c) * 4 + at % 4] =
            model_.nodes[d.node].weights[std::size_t(c) * area + at];
    d.weights = on_device(std::span<const std::int8_t>(weights));
  }

  /// Weights as a matrix, a row an output channel; columns by position of the window and then by input channel, as the
  /// activations lie. Channels of other groups have weights of 0.
  void lay_out_matrix(DeviceStep& d) const {
    const Node& node = model_.network.nodes[d.node];
    Convolution& c = d.convolution;
    const int area = d.window.height * d.window.width;
    const int group_inputs = model_.network.input_shape(node).channels / node.groups,
              group_outputs = d.shape.channels / node.groups;
    c.inner = round_up(area * c.channels, inner_block);
    c.last_vectors = (inner_block - (c.inner - area * c.channels)) / channel_vector;
    std::vector<std::int8_t> weights(std::size_t(d.shape.padded_channels + output_block) * c.inner, 0);
    for (int o = 0; o < d.shape.channels; ++o)
      for (int i = 0; i < group_inputs; ++i)
        for (int at = 0; at < area; ++at)
          weights[std::size_t(o) * c.inner + std::size_t(at) * c.channels + o / group_outputs * group_inputs + i] =
              model_.nodes[d.node].weights[(std::size_t(o) * group_inputs + i) * area + at];
    std::vector<Tap> taps(c.inner / channel_vector, Tap{0, no_tap, no_tap});
    for (int v = 0; v * channel_vector < area * c.channels; ++v) {
      const int at = v * channel_vector / c.channels, channel = v * channel_vector % c.channels;
      const int dy = at / d.window.width * d.window.dilation_y, dx = at % d.window.width * d.window.dilation_x;
      taps[v] = {((dy * c.width + dx) * c.channels + channel) / channel_vector, static_cast<short>(dy),
                 static_cast<short>(dx)};
    }
    d.weights = on_device(std::span<const std::int8_t>(weights));
    d.taps = on_device(std::span<const Tap>(taps));
    c.weights = d.weights.data();
    c.taps = d.taps.data();
  }

  void add_average(DeviceStep& d) const {
    d.count_padding = model_.network.nodes[d.node].count_padding;
    std::vector<float> multipliers{0};
    for (int count = 1; count <= d.window.height * d.window.width; ++count)
      multipliers.push_back(average_multiplier(model_, d.node, count));
    d.multipliers = on_device(std::span<const float>(multipliers));
  }

  void add_tables(DeviceStep& d) const {
    std::vector<std::int32_t> tables;
    for (std::size_t operand = 0; operand < 2; ++operand) {
      const auto table = add_table(model_, d.node, operand);
      tables.insert(tables.end(), table.begin(), table.end());
    }
    d.tables = on_device(std::span<const std::int32_t>(tables));
  }

  void add_maps(DeviceStep& d) const {
    std::vector<std::uint8_t> maps;
    for (const CodeMap& map : model_.nodes[d.node].maps) maps.insert(maps.end(), map.begin(), map.end());
    if (!maps.empty()) d.maps = on_device(std::span<const std::uint8_t>(maps));
  }

  void add_constant(DeviceStep& d) const {
    const std::vector<std::uint8_t>& from = model_.nodes[d.node].codes;
    std::vector<std::uint8_t> codes(d.output_bytes(), 0);
    for (int c = 0; c < d.shape.channels; ++c)
      for (int at = 0; at < d.shape.positions(); ++at)
        codes[std::size_t(at) * d.shape.padded_channels + c] = from[std::size_t(c) * d.shape.positions() + at];
    d.constant = on_device(std::span<const std::uint8_t>(codes));
  }

  const Problem& problem_;
  const QuantizedNetwork& model_;
  std::vector<int> step_of_;             // (nodes)
  std::map<std::size_t, int> products_;  // by addition's node: the step of a convolution that may run with it
  std::vector<DeviceStep> steps_;
};

}  // namespace

std::vector<DeviceStep> make_device_steps(const Problem& problem) { return Maker(problem).make(); }

void fill_requantization(const DeviceStep& step, const Requantization& from, float* multiplier, std::int32_t* bias) {
  std::copy(from.multiplier.begin(), from.multiplier.end(), multiplier);
  for (int c = 0; c < step.shape.channels; ++c) bias[c] = from.bias[c] + step.correction[c];
}

Arena place_values(std::span<const DeviceStep> steps) {
  std::vector<Buffer> buffers;
  std::vector<std::size_t> sizes;
  for (std::size_t k = 0; k < steps.size(); ++k) {
    buffers.push_back({k, false, steps[k].product < 0 ? k : std::size_t(steps[k].product), k});
    const bool elsewhere = k + 1 == steps.size() || steps[k].operation == Operation::constant;
    sizes.push_back(elsewhere ? 0 : steps[k].output_bytes());
    for (const int input : steps[k].inputs)
      if (input != image_step) buffers[input].last = k;
  }
  return place(buffers, sizes, channel_vector);
}

}  // namespace triseg
