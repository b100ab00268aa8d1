#include "trainer/student_network.hpp"

#include "core/error.hpp"
#include "trainer/float_operations.hpp"

#include <algorithm>

namespace triseg {
namespace {

using torch::Tensor;

/// Codes less a zero point: rounded, with a gradient of 1, and clamped to lowest .. highest, with one of 0 outside.
struct RoundAndClamp : torch::autograd::Function<RoundAndClamp> {
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x, std::int64_t lowest,
                        std::int64_t highest) {
    const Tensor rounded = torch::round(x);
    context->save_for_backward({rounded});
    context->saved_data["lowest"] = lowest;
    context->saved_data["highest"] = highest;
    return torch::clamp(rounded, lowest, highest);
  }
  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context,
                                               torch::autograd::tensor_list outputs) {
    const double lowest = double(context->saved_data["lowest"].toInt()),
                 highest = double(context->saved_data["highest"].toInt());
    // Its bounds are excluded: half a code outside of the range, where no rounded value lies.
    return {at::hardtanh_backward(outputs[0], context->get_saved_variables()[0], lowest - 0.5, highest + 0.5), Tensor(),
            Tensor()};
  }
};

/// What a table or a map makes of a code, for codes less their zero points.
Tensor map_codes(const CodeMap& map, int zero_point) {
  std::vector<float> values;
  for (const std::uint8_t code : map) values.push_back(float(code - zero_point));
  return torch::tensor(values);
}

/// The gradient of a table by its code: half of the step over both neighbours, at the ends the step over one.
Tensor slopes_of(const CodeMap& map) {
  std::vector<float> slopes;
  for (int q = 0; q < 256; ++q) {
    const int before = std::max(q - 1, 0), after = std::min(q + 1, 255);
    slopes.push_back(float(map[after] - map[before]) / float(after - before));
  }
  return torch::tensor(slopes);
}

/// The attention map of a value's codes: a value of one position is one channel with a position a feature.
Tensor attention_map(const Shape& shape, const Tensor& codes) {
  const Tensor squares = codes * codes;
  return shape.positions() == 1 ? squares.flatten(1) : squares.sum(1).flatten(1);
}

}  // namespace

Tensor straight_through(const Tensor& value, const Tensor& x, const Tensor& gradient) {
  return value.detach() + gradient * (x - x.detach());
}

StudentNetwork::StudentNetwork(const Problem& problem, const Repair& start, bool maps_wanted, const std::string& device)
    : problem_(problem), start_(start), device_(choose_device(device)), pooled_(pooled_by(problem.network())) {
  for (std::size_t i = 0; i < pooled_.size(); ++i)
    // A maximum that is a site has its own staircase behind it; a map is taken in front of the maximum.
    if (pooled_[i] >= 0 && (problem.site_of(pooled_[i]) >= 0 || (maps_wanted && problem.attention_of(i) >= 0)))
      pooled_[i] = -1;
  for (int c = 0; c < network().input.channels; ++c) {
    const auto input = input_codes(model(), c);
    auto& values = pixel_values_.emplace_back();
    for (int p = 0; p < 256; ++p) values[p] = float(input[p] - model().input.zero_point);
  }
  for (std::size_t i = 0; i < network().nodes.size(); ++i) {
    StudentNode made;
    if (network().nodes[i].operation == Operation::convolution) make_convolution(i, made);
    else make_operation(i, made);
    for (Tensor* t : {&made.weight, &made.bias, &made.multiplier, &made.start_bias, &made.start_multiplier,
                      &made.factor, &made.slopes, &made.constant})
      if (t->defined()) *t = t->to(device_);
    nodes_.push_back(made);
  }
}

Tensor StudentNetwork::images(std::span<const std::uint8_t> pixels) const {
  return image_tensor(pixels, pixel_values_, network().input).to(device_);
}

Tensor StudentNetwork::requantized(std::size_t, Tensor x) const { return x; }

void StudentNetwork::observe_outputs(std::size_t, const Tensor&) {}

void StudentNetwork::make_convolution(std::size_t i, StudentNode& made) const {
  const QuantizedNode& node = model().nodes[i];
  made.weight = floats(node.weights).reshape(weight_shape(network(), network().nodes[i]));
  if (made.weight.dim() == 4) made.weight = made.weight.contiguous(torch::MemoryFormat::ChannelsLast);
  made.bias = floats(node.requantization.bias);
  made.multiplier = floats(node.requantization.multiplier);
  made.start_bias = floats(at_start(i).bias);
  made.start_multiplier = floats(at_start(i).multiplier);
}

/// What the other operations need.
void StudentNetwork::make_operation(std::size_t i, StudentNode& made) const {
  const Node& shape = network().nodes[i];
  const QuantizedNode& node = model().nodes[i];
  const int zero_point = node.output.zero_point;
  for (const CodeMap& map : node.maps) made.maps.push_back(map_codes(map, zero_point).to(device_));
  if (shape.operation == Operation::table) made.slopes = slopes_of(node.maps.front());
  if (shape.operation == Operation::multiply) made.factor = torch::tensor(multiply_multiplier(model(), i));
  if (shape.operation == Operation::average) {
    std::vector<float> factors;
    for (const int count : window_counts(network(), shape)) factors.push_back(average_multiplier(model(), i, count));
    made.factor = torch::tensor(factors).reshape({1, 1, shape.shape.height, shape.shape.width});
  }
  if (shape.operation == Operation::constant)
    made.constant =
        (floats(node.codes) - zero_point).reshape({1, shape.shape.channels, shape.shape.height, shape.shape.width});
}

/// What a node's operation makes of codes less their zero points, before rounding and clamping, in codes less the zero
/// point of its value.
Tensor StudentNetwork::compute(std::size_t i, const Values& values, bool student) const {
  const Node& shape = network().nodes[i];
  const StudentNode& node = nodes_[i];
  const auto input = [&](std::size_t k) { return as_planes(values[shape.inputs[k]]); };
  switch (shape.operation) {
    case Operation::convolution: {
      const auto row = [&](const Tensor& t) { return per_channel(network(), shape, t); };
      Tensor x = convolve(network(), shape, values[shape.inputs.front()], node.weight, {});
      x = (x + row(student ? node.start_bias : node.bias)) * row(student ? node.start_multiplier : node.multiplier);
      return student ? requantized(i, x) : x;
    }
    case Operation::average: return pool_sum(network(), shape, input(0)) * node.factor;
    case Operation::maximum: return pool_maximum(network(), shape, input(0));
    case Operation::add: return sum(i, input(0), input(1));
    case Operation::multiply: return input(0) * input(1) * node.factor;
    case Operation::concatenate: {
      std::vector<Tensor> parts;
      for (std::size_t k = 0; k < shape.inputs.size(); ++k)
        parts.push_back(node.maps.empty() ? input(k) : rescaled(i, k, input(k)));
      return torch::cat(parts, 1);
    }
    case Operation::table: {
      const Tensor code = codes(shape.inputs.front(), input(0));
      return straight_through(node.maps.front().index({code}), input(0), node.slopes.index({code}));
    }
    case Operation::constant: return node.constant.expand({values.batch(), -1, -1, -1});
  }
  fail("node {}: unknown operation", shape.name);
}

/// The codes themselves, as indices.
Tensor StudentNetwork::codes(int value, const Tensor& x) const {
  return (x.detach() + model().scale(value).zero_point).to(torch::kLong);
}

/// The sum that add_table() makes, rounded here, where ties are still exact.
Tensor StudentNetwork::sum(std::size_t i, const Tensor& a, const Tensor& b) const {
  constexpr double one = 1 << add_fraction_bits;
  const std::vector<int>& inputs = network().nodes[i].inputs;
  const CodeScale& out = model().nodes[i].output;
  const double scale_a = model().scale(inputs[0]).scale, scale_b = model().scale(inputs[1]).scale;
  const Tensor terms = torch::round(a.detach().to(torch::kFloat64) * scale_a / out.scale * one) +
                       torch::round(b.detach().to(torch::kFloat64) * scale_b / out.scale * one);
  const Tensor code = torch::round(terms / one + out.zero_point) - out.zero_point;
  const Tensor real = a * (scale_a / out.scale) + b * (scale_b / out.scale);
  return code.to(torch::kFloat32) + (real - real.detach());
}

/// An input of a concatenation through its map, with the gradient of the ratio of the scales.
Tensor StudentNetwork::rescaled(std::size_t i, std::size_t k, const Tensor& x) const {
  const int value = network().nodes[i].inputs[k];
  const double ratio = model().scale(value).scale / model().nodes[i].output.scale;
  const Tensor mapped = nodes_[i].maps[k].index({codes(value, x)});
  return mapped + ratio * (x - x.detach());
}

Tensor StudentNetwork::forward(Tensor image, bool student, std::vector<Tensor>* maps) {
  Values values(network(), std::move(image));
  if (maps) maps->resize(problem_.attention.size());
  std::vector<bool> done(nodes_.size());
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (done[i]) {
      values.done(network().nodes[i]);
      continue;
    }
    Tensor x = compute(i, values, student);
    const bool is_site = problem_.site_of(i) >= 0;
    if (student && is_site) observe_outputs(i, x);
    const std::size_t made = pooled_[i] >= 0 ? pooled_[i] : i;
    if (pooled_[i] >= 0) x = pool_maximum(network(), network().nodes[made], x);
    const QuantizedNode& own = model().nodes[i];
    const int zero_point = own.output.zero_point;
    x = RoundAndClamp::apply(x, std::int64_t(own.lowest) - zero_point, std::int64_t(own.highest) - zero_point);
    if (student && is_site) x = zero_point == 0 ? staircase_of(i, x) : staircase_of(i, x + zero_point) - zero_point;
    if (const int map = problem_.attention_of(made); maps && map >= 0)
      (*maps)[map] = attention_map(network().nodes[made].shape, zero_point == 0 ? x : x + zero_point);
    values.done(network().nodes[i]);
    done[made] = true;
    values.set(made, std::move(x));
  }
  return values[static_cast<int>(nodes_.size()) - 1].flatten(1) * model().logits().scale;
}

}  // namespace triseg
