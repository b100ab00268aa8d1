#include "trainer/repair_network.hpp"

#include "core/error.hpp"
#include "trainer/float_operations.hpp"
#include "trainer/student_network.hpp"

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

/// What a step trains and holds at a node.
struct RepairedNode {
  Trained slope, shift;           // (out), or slope (1); defined where they are trained
  Tensor table, gradient;         // (256), sites only: the staircase and its smoothed gradient
  int tmax = 255;                 // of a site; 255: nothing passes
  double deviation = 0.5;         // of the Gaussian at tmax [codes]
  float observed = 0, price = 0;  // sum of the shares that observe() saw pass through; what passing costs
  Tensor share;                   // of the last forward of the student, where something can pass
};

/// Standard deviation of the Gaussian that is the gradient of a jump [codes].
double jump_deviation(int height, double smoothing) { return std::max(0.5, smoothing * height); }

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

struct RepairNetwork::Impl final : StudentNetwork {
  std::vector<RepairedNode> nodes;
  std::int64_t steps = 0, observations = 0;

  Impl(const Problem& problem, std::span<const Codes> codes, const Repair& start, bool shared_slope, double smoothing,
       const std::string& device)
      : StudentNetwork(problem, start, false, device), nodes(network().nodes.size()) {
    const std::vector<bool> trained = trained_nodes(problem);
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      if (trained[i]) make_trained(network().nodes[i].shape.channels, shared_slope, nodes[i]);
      if (const int site = problem.site_of(i); site >= 0) make_site(codes[site], smoothing, nodes[i]);
    }
  }

  const Repair& start() const { return start_; }

 private:
  void make_trained(int channels, bool shared_slope, RepairedNode& made) const {
    for (auto [quantity, size] : {std::pair(&made.slope, shared_slope ? 1 : channels), {&made.shift, channels}}) {
      quantity->value = torch::zeros(size, device()).set_requires_grad(true);
      quantity->mean = torch::zeros(size, device());
      quantity->square = torch::zeros(size, device());
    }
  }

  void make_site(const Codes& codes, double smoothing, RepairedNode& made) const {
    const Table table = staircase(codes);
    const auto gradient = smoothed_gradient(codes, smoothing);
    made.table = floats(std::vector<std::uint8_t>(table.begin(), table.end())).to(device());
    made.gradient = floats(std::vector<float>(gradient.begin(), gradient.end())).to(device());
    made.tmax = codes.tmax;
    if (made.tmax < 255) made.deviation = jump_deviation(table[made.tmax + 1] - table[made.tmax], smoothing);
  }

  Tensor requantized(std::size_t i, Tensor x) const override {
    const RepairedNode& node = nodes[i];
    if (!node.slope.value.defined()) return x;
    const auto row = [&](const Tensor& t) { return per_channel(network(), network().nodes[i], t); };
    return x * row(torch::exp(node.slope.value)) + row(node.shift.value);
  }

  /// The share of outputs, before rounding and pooling, whose code passes through a site.
  void observe_outputs(std::size_t i, const Tensor& x) override {
    RepairedNode& node = nodes[i];
    if (node.tmax == 255) return;
    const double jump = node.tmax + 0.5;
    const Tensor distance = (x.detach() - jump) / node.deviation;
    const Tensor density = torch::exp(distance * distance * -0.5) / (node.deviation * std::sqrt(2 * std::numbers::pi));
    node.share = straight_through((x > jump).to(torch::kFloat32), x, density).mean();
  }

  Tensor staircase_of(std::size_t i, const Tensor& x) const override {
    const Tensor code = x.detach().to(torch::kLong);
    return straight_through(nodes[i].table.index({code}), x, nodes[i].gradient.index({code}));
  }

 public:
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
  std::optional<double> held_share(const RepairedNode& node) const {
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
    : impl_(std::make_unique<Impl>(problem, codes, start, shared_slope, smoothing, device)) {}

RepairNetwork::~RepairNetwork() = default;

void RepairNetwork::observe(std::span<const std::uint8_t> pixels) {
  torch::NoGradGuard no_grad;
  impl_->forward(impl_->images(pixels), true);
  ++impl_->observations;
  for (RepairedNode& node : impl_->nodes)
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
  for (const RepairedNode& node : impl_->nodes)
    if (const auto held = impl_->held_share(node)) loss = loss + node.share * (node.price / *held);
  loss.backward();
  torch::NoGradGuard no_grad;
  ++impl_->steps;
  for (RepairedNode& node : impl_->nodes) {
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
    const RepairedNode& node = impl_->nodes[i];
    if (!node.slope.value.defined()) {
      if (i < impl_->start().size()) repair[i] = impl_->start()[i];
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
    const RepairedNode& node = impl_->nodes[i];
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
    RepairedNode& node = impl_->nodes[i];
    if (node.tmax == 255) continue;
    const std::vector<float> passed = stored_tensor(tensors, impl_->network().nodes[i].name + ".passed", 2);
    node.observed = passed[0];
    node.price = passed[1];
  }
  for (auto& [name, tensor] : impl_->named()) tensor.copy_(torch::tensor(stored_tensor(tensors, name, tensor.numel())));
}

}  // namespace triseg
