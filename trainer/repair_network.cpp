#include "trainer/repair_network.hpp"

#include "core/error.hpp"
#include "trainer/float_operations.hpp"
#include "trainer/torch_support.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>

namespace triseg {
namespace {

using torch::Tensor;

constexpr double mean_decay = 0.9, square_decay = 0.999, epsilon = 1e-8;  // Adam's
constexpr std::int64_t most_bias = 1 << 30;
constexpr double largest_slope = 8;
constexpr double price_rate = 1e-3;   // of the price of passing, for a relative excess of 1
constexpr double least_share = 1e-3;  // that an excess is relative to

/// A trained quantity and Adam's moving averages of its gradient and of the gradient's square.
struct Trained {
  Tensor value, mean, square;
};

/// A node of a student. Bias to shift: of convolutions.
struct TorchNode {
  Tensor weight;                        // codes: weight_shape()
  Tensor bias, multiplier;              // the model's own (out)
  Tensor start_bias, start_multiplier;  // the student's at the start (out)
  Trained slope, shift;                 // (out), or slope (1); defined where they are trained
  Tensor factor;                        // average: (height, width); multiply: (1)
  std::vector<Tensor> maps;             // table, concatenate: (256) codes less the zero point
  Tensor slopes;                        // table: (256) its gradient
  Tensor constant;                      // (1, channels, height, width) codes less the zero point
  bool is_site = false;
  Tensor table, gradient;         // (256), sites only: the staircase and its smoothed gradient
  int tmax = 255;                 // of a site; 255: nothing passes
  double deviation = 0.5;         // of the Gaussian at tmax [codes]
  float observed = 0, price = 0;  // sum of the shares that observe() saw pass through; what passing costs
  Tensor share;                   // of the last forward of the student, where something can pass
};

template <class T>
Tensor floats(const std::vector<T>& values) {
  return torch::tensor(std::vector<float>(values.begin(), values.end()));
}

/// x in value, with the gradient that `gradient` times that of x has.
Tensor straight_through(const Tensor& value, const Tensor& x, const Tensor& gradient) {
  return value.detach() + gradient * (x - x.detach());
}

/// Standard deviation of the Gaussian that is the gradient of a jump [codes].
double jump_deviation(int height, double smoothing) { return std::max(0.5, smoothing * height); }

Tensor round_codes(const Tensor& x) { return torch::round(x).detach() + (x - x.detach()); }

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

/// The convolutions that a repair can train: those that read what a site changes, and those that make a site's value.
std::vector<bool> trained_nodes(const Problem& problem) {
  const std::vector<Node>& nodes = problem.network().nodes;
  std::vector<bool> changed(nodes.size()), makes_site(nodes.size()), result(nodes.size());
  for (const std::size_t site : problem.sites) makes_site[site] = true;
  for (std::size_t i = nodes.size(); i-- > 0;)
    if (makes_site[i] && nodes[i].operation != Operation::convolution)
      for (const int input : nodes[i].inputs)
        if (input != image_value) makes_site[input] = true;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const bool reads = std::any_of(nodes[i].inputs.begin(), nodes[i].inputs.end(),
                                   [&](int input) { return input != image_value && changed[input]; });
    changed[i] = reads || problem.site_of(i) >= 0;
    result[i] = nodes[i].operation == Operation::convolution && (reads || makes_site[i]);
  }
  return result;
}

}  // namespace

std::array<float, 256> smoothed_gradient(const Codes& codes, double smoothing) {
  const Table table = staircase(codes);
  std::array<double, 256> sum{};
  const auto add_jump = [&](int t, int height) {
    const double deviation = jump_deviation(height, smoothing);
    for (int q = 0; q < 256; ++q) {
      const double x = (q - t - 0.5) / deviation;
      sum[q] += height * std::exp(-0.5 * x * x) / (deviation * std::sqrt(2 * std::numbers::pi));
    }
  };
  for (int t = 0; t <= codes.tmax && t < 255; ++t)
    if (table[t + 1] > table[t]) add_jump(t, table[t + 1] - table[t]);
  std::array<float, 256> result{};
  for (int q = 0; q < 256; ++q) result[q] = float(sum[q] + (q > codes.tmax ? 1.0 : 0.0));
  return result;
}

struct RepairNetwork::Impl {
  Problem problem;
  Repair start;
  torch::Device device = torch::kCPU;
  std::vector<int> pooled;  // (nodes): pooled_by()
  std::vector<TorchNode> nodes;
  PixelValues pixel_values;  // (input channels): the input code of a pixel byte less the zero point
  std::int64_t steps = 0, observations = 0;

  const QuantizedNetwork& model() const { return problem.model; }
  const Network& network() const { return problem.network(); }

  Tensor images(std::span<const std::uint8_t> pixels) const {
    return image_tensor(pixels, pixel_values, network().input).to(device);
  }

  const Requantization& at_start(std::size_t i) const {
    return i < start.size() && start[i] ? *start[i] : model().nodes[i].requantization;
  }

  void make_convolution(std::size_t i, bool trained, bool shared_slope, TorchNode& made) const {
    const Node& shape = network().nodes[i];
    const QuantizedNode& node = model().nodes[i];
    made.weight = floats(node.weights).reshape(weight_shape(network(), shape));
    if (made.weight.dim() == 4) made.weight = made.weight.contiguous(torch::MemoryFormat::ChannelsLast);
    made.bias = floats(node.requantization.bias);
    made.multiplier = floats(node.requantization.multiplier);
    made.start_bias = floats(at_start(i).bias);
    made.start_multiplier = floats(at_start(i).multiplier);
    if (!trained) return;
    const int slopes = shared_slope ? 1 : shape.shape.channels;
    for (auto [quantity, size] : {std::pair(&made.slope, slopes), {&made.shift, shape.shape.channels}}) {
      quantity->value = torch::zeros(size);
      quantity->mean = torch::zeros(size);
      quantity->square = torch::zeros(size);
    }
  }

  /// What the other operations need.
  void make_operation(std::size_t i, TorchNode& made) const {
    const Node& shape = network().nodes[i];
    const QuantizedNode& node = model().nodes[i];
    const int zero_point = node.output.zero_point;
    for (const CodeMap& map : node.maps) made.maps.push_back(map_codes(map, zero_point).to(device));
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

  static void make_site(const Codes& codes, double smoothing, TorchNode& made) {
    made.is_site = true;
    const Table table = staircase(codes);
    const auto gradient = smoothed_gradient(codes, smoothing);
    made.table = floats(std::vector<std::uint8_t>(table.begin(), table.end()));
    made.gradient = floats(std::vector<float>(gradient.begin(), gradient.end()));
    made.tmax = codes.tmax;
    if (made.tmax < 255) made.deviation = jump_deviation(table[made.tmax + 1] - table[made.tmax], smoothing);
  }

  void make_nodes(std::span<const Codes> codes, bool shared_slope, double smoothing) {
    const std::vector<bool> trained = trained_nodes(problem);
    for (std::size_t i = 0; i < network().nodes.size(); ++i) {
      TorchNode made;
      if (network().nodes[i].operation == Operation::convolution) make_convolution(i, trained[i], shared_slope, made);
      else make_operation(i, made);
      if (const int site = problem.site_of(i); site >= 0) make_site(codes[site], smoothing, made);
      for (Tensor* t : {&made.weight, &made.bias, &made.multiplier, &made.start_bias, &made.start_multiplier,
                        &made.slope.value, &made.slope.mean, &made.slope.square, &made.shift.value, &made.shift.mean,
                        &made.shift.square, &made.factor, &made.slopes, &made.constant, &made.table, &made.gradient})
        if (t->defined()) *t = t->to(device);
      for (Trained* t : {&made.slope, &made.shift})
        if (t->value.defined()) t->value.set_requires_grad(true);
      nodes.push_back(made);
    }
  }

  /// The share of outputs, before rounding and pooling, whose code passes through a site.
  static Tensor passed_share(const Tensor& x, const TorchNode& node) {
    const double jump = node.tmax + 0.5;
    const Tensor distance = (x.detach() - jump) / node.deviation;
    const Tensor density = torch::exp(distance * distance * -0.5) / (node.deviation * std::sqrt(2 * std::numbers::pi));
    return straight_through((x > jump).to(torch::kFloat32), x, density).mean();
  }

  /// What a node's operation makes of codes less their zero points, before rounding and clamping, in codes less the
  /// zero point of its value.
  Tensor compute(std::size_t i, const Values& values, bool student) const {
    const Node& shape = network().nodes[i];
    const TorchNode& node = nodes[i];
    const auto input = [&](std::size_t k) { return as_planes(values[shape.inputs[k]]); };
    switch (shape.operation) {
      case Operation::convolution: {
        const auto row = [&](const Tensor& t) { return per_channel(network(), shape, t); };
        Tensor x = convolve(network(), shape, values[shape.inputs.front()], node.weight, {});
        x = (x + row(student ? node.start_bias : node.bias)) * row(student ? node.start_multiplier : node.multiplier);
        return student && node.slope.value.defined() ? x * row(torch::exp(node.slope.value)) + row(node.shift.value)
                                                     : x;
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
  Tensor codes(int value, const Tensor& x) const {
    return (x.detach() + model().scale(value).zero_point).to(torch::kLong);
  }

  /// The sum that add_table() makes, rounded here, where ties are still exact.
  Tensor sum(std::size_t i, const Tensor& a, const Tensor& b) const {
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
  Tensor rescaled(std::size_t i, std::size_t k, const Tensor& x) const {
    const int value = network().nodes[i].inputs[k];
    const double ratio = model().scale(value).scale / model().nodes[i].output.scale;
    const Tensor mapped = nodes[i].maps[k].index({codes(value, x)});
    return mapped + ratio * (x - x.detach());
  }

  /// Real logits, of the teacher or of the student, whose shares it sets.
  Tensor forward(Tensor image, bool student) {
    Values values(network(), std::move(image));
    std::vector<bool> done(nodes.size());
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      if (done[i]) {
        values.done(network().nodes[i]);
        continue;
      }
      TorchNode& node = nodes[i];
      Tensor x = compute(i, values, student);
      if (student && node.is_site && node.tmax < 255) node.share = passed_share(x, node);
      const std::size_t made = pooled[i] >= 0 ? pooled[i] : i;
      if (pooled[i] >= 0) x = pool_maximum(network(), network().nodes[made], x);
      const QuantizedNode& own = model().nodes[i];
      x = torch::clamp(round_codes(x) + own.output.zero_point, own.lowest, own.highest);
      if (student && node.is_site) {
        const Tensor code = x.detach().to(torch::kLong);
        x = straight_through(node.table.index({code}), x, node.gradient.index({code}));
      }
      if (own.output.zero_point != 0) x = x - own.output.zero_point;
      values.done(network().nodes[i]);
      done[made] = true;
      values.set(made, std::move(x));
    }
    return values[static_cast<int>(nodes.size()) - 1].flatten(1) * model().logits().scale;
  }

  void update(Trained& trained, double rate) const {
    const Tensor gradient = trained.value.grad();
    trained.mean.mul_(mean_decay).add_(gradient, 1 - mean_decay);
    trained.square.mul_(square_decay).addcmul_(gradient, gradient, 1 - square_decay);
    const double mean_share = 1 - std::pow(mean_decay, double(steps)),
                 square_share = 1 - std::pow(square_decay, double(steps));
    trained.value.addcdiv_(trained.mean / mean_share, (trained.square / square_share).sqrt_().add_(epsilon), -rate);
    trained.value.mutable_grad() = Tensor();
  }

  /// What a step holds of a site, or nothing.
  std::optional<double> held_share(const TorchNode& node) const {
    if (observations == 0 || !node.share.defined()) return std::nullopt;
    return std::max(least_share, node.observed / double(observations));
  }

  std::vector<std::pair<std::string, Tensor>> named() const {
    std::vector<std::pair<std::string, Tensor>> result;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      if (!nodes[i].slope.value.defined()) continue;
      for (const auto& [name, trained] : {std::pair(".slope", &nodes[i].slope), {".shift", &nodes[i].shift}}) {
        const std::string prefix = network().nodes[i].name + name;
        result.emplace_back(prefix, trained->value);
        result.emplace_back(prefix + ".mean", trained->mean);
        result.emplace_back(prefix + ".square", trained->square);
      }
    }
    return result;
  }
};

RepairNetwork::RepairNetwork(const Problem& problem, std::span<const Codes> codes, const Repair& start,
                             bool shared_slope, double smoothing, const std::string& device)
    : impl_(std::make_unique<Impl>()) {
  const QuantizedNetwork& model = problem.model;
  impl_->problem = problem;
  impl_->pooled = pooled_by(model.network);
  for (int& maximum : impl_->pooled)
    if (maximum >= 0 && problem.site_of(maximum) >= 0) maximum = -1;  // its own staircase comes behind it
  impl_->start = start;
  impl_->device = choose_device(device);
  for (int c = 0; c < model.network.input.channels; ++c) {
    const auto input = input_codes(model, c);
    auto& values = impl_->pixel_values.emplace_back();
    for (int p = 0; p < 256; ++p) values[p] = float(input[p] - model.input.zero_point);
  }
  impl_->make_nodes(codes, shared_slope, smoothing);
}

RepairNetwork::~RepairNetwork() = default;

void RepairNetwork::observe(std::span<const std::uint8_t> pixels) {
  torch::NoGradGuard no_grad;
  impl_->forward(impl_->images(pixels), true);
  ++impl_->observations;
  for (TorchNode& node : impl_->nodes)
    if (node.share.defined()) node.observed += node.share.item<float>();
}

double RepairNetwork::step(std::span<const std::uint8_t> pixels, const RepairStep& step) {
  const Tensor images = impl_->images(pixels);
  Tensor target;
  {
    torch::NoGradGuard no_grad;
    target = torch::log_softmax(impl_->forward(images, false) / step.temperature, 1);
  }
  const Tensor logits = torch::log_softmax(impl_->forward(images, true) / step.temperature, 1);
  const Tensor kd = (target.exp() * (target - logits)).sum(1).mean() * (step.temperature * step.temperature);
  Tensor loss = kd;
  for (const TorchNode& node : impl_->nodes)
    if (const auto held = impl_->held_share(node)) loss = loss + node.share * (node.price / *held);
  loss.backward();
  torch::NoGradGuard no_grad;
  ++impl_->steps;
  for (TorchNode& node : impl_->nodes) {
    if (!node.slope.value.defined()) continue;
    impl_->update(node.slope, step.multiplier_rate);
    impl_->update(node.shift, step.bias_rate);
    node.slope.value.clamp_(-largest_slope, largest_slope);
    if (const auto held = impl_->held_share(node))
      node.price = float(std::max(0.0, node.price + price_rate * (node.share.item<double>() / *held - 1)));
  }
  return kd.item<double>();
}

Repair RepairNetwork::repair() const {
  Repair repair(impl_->nodes.size());
  for (std::size_t i = 0; i < impl_->nodes.size(); ++i) {
    const TorchNode& node = impl_->nodes[i];
    if (!node.slope.value.defined()) {
      if (i < impl_->start.size()) repair[i] = impl_->start[i];
      continue;
    }
    const std::vector<float> slope = to_vector(node.slope.value), shift = to_vector(node.shift.value);
    Requantization& made = repair[i].emplace(impl_->at_start(i));
    for (std::size_t c = 0; c < made.bias.size(); ++c) {
      made.multiplier[c] = float(made.multiplier[c] * std::exp(double(slope[slope.size() == 1 ? 0 : c])));
      if (shift[c] == 0) continue;
      const double bias = std::nearbyint(made.bias[c] + double(shift[c]) / made.multiplier[c]);
      if (!(std::abs(bias) <= double(std::min(most_bias, largest_bias(impl_->model(), i, c)))))
        fail("the repair diverged: layer {}, channel {} needs a bias of {:g}; choose a smaller --lr or --bias-lr",
             impl_->network().nodes[i].name, c, bias);
      made.bias[c] = std::int32_t(bias);
    }
  }
  check_repair(impl_->model(), repair);
  return repair;
}

TrainingTensors RepairNetwork::tensors() const {
  TrainingTensors result{{"steps", {float(impl_->steps)}}, {"observations", {float(impl_->observations)}}};
  for (std::size_t i = 0; i < impl_->nodes.size(); ++i) {
    const TorchNode& node = impl_->nodes[i];
    if (node.tmax < 255) result[impl_->network().nodes[i].name + ".passed"] = {float(node.observed), float(node.price)};
  }
  for (const auto& [name, tensor] : impl_->named()) result[name] = to_vector(tensor);
  return result;
}

void RepairNetwork::set_tensors(const TrainingTensors& tensors) {
  torch::NoGradGuard no_grad;
  impl_->steps = std::int64_t(stored_tensor(tensors, "steps", 1)[0]);
  impl_->observations = std::int64_t(stored_tensor(tensors, "observations", 1)[0]);
  for (std::size_t i = 0; i < impl_->nodes.size(); ++i) {
    TorchNode& node = impl_->nodes[i];
    if (node.tmax == 255) continue;
    const std::vector<float> passed = stored_tensor(tensors, impl_->network().nodes[i].name + ".passed", 2);
    node.observed = passed[0];
    node.price = passed[1];
  }
  for (auto& [name, tensor] : impl_->named()) tensor.copy_(torch::tensor(stored_tensor(tensors, name, tensor.numel())));
}

}  // namespace triseg
