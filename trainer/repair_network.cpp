#include "trainer/repair_network.hpp"

#include "core/error.hpp"
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

struct TorchLayer {
  Tensor weight;                        // codes: (out, in, kernel, kernel) or (out, in)
  Tensor bias, multiplier;              // the model's own (out)
  Tensor start_bias, start_multiplier;  // the student's at the start (out)
  Trained slope, shift;                 // (out), or slope (1); defined from the first site on
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
  QuantizedNetwork model;
  std::vector<std::size_t> sites;
  Repair start;
  torch::Device device = torch::kCPU;
  std::vector<TorchLayer> layers;
  PixelValues pixel_values;  // (input_channels): the input code of a pixel byte less the zero point
  std::int64_t steps = 0, observations = 0;

  Tensor images(std::span<const std::uint8_t> pixels) const {
    return image_tensor(pixels, pixel_values, model.network.input_side).to(device);
  }

  const Requantization& at_start(std::size_t i) const {
    return i < start.size() && start[i] ? *start[i] : model.layers[i].requantization;
  }

  void make_layers(std::span<const Codes> codes, bool shared_slope, double smoothing) {
    const std::size_t first = sites.front();
    std::size_t site = 0;
    for (std::size_t i = 0; i < model.layers.size(); ++i) {
      const Layer& shape = model.network.layers[i];
      const QuantizedLayer& layer = model.layers[i];
      TorchLayer made;
      made.weight = floats(layer.weights);
      made.weight = shape.kind == LayerKind::convolution
                        ? made.weight.reshape({shape.out_channels, shape.in_channels, shape.kernel, shape.kernel})
                              .contiguous(torch::MemoryFormat::ChannelsLast)
                        : made.weight.reshape({shape.out_channels, shape.in_channels});
      made.bias = floats(layer.requantization.bias);
      made.multiplier = floats(layer.requantization.multiplier);
      made.start_bias = floats(at_start(i).bias);
      made.start_multiplier = floats(at_start(i).multiplier);
      if (i >= first) {
        const int slopes = shared_slope ? 1 : shape.out_channels;
        for (auto [trained, size] : {std::pair(&made.slope, slopes), {&made.shift, shape.out_channels}}) {
          trained->value = torch::zeros(size);
          trained->mean = torch::zeros(size);
          trained->square = torch::zeros(size);
        }
      }
      if (site < sites.size() && sites[site] == i) {
        made.is_site = true;
        const Table table = staircase(codes[site]);
        const auto gradient = smoothed_gradient(codes[site], smoothing);
        made.table = floats(std::vector<std::uint8_t>(table.begin(), table.end()));
        made.gradient = floats(std::vector<float>(gradient.begin(), gradient.end()));
        made.tmax = codes[site].tmax;
        if (made.tmax < 255) made.deviation = jump_deviation(table[made.tmax + 1] - table[made.tmax], smoothing);
        ++site;
      }
      for (Tensor* t : {&made.weight, &made.bias, &made.multiplier, &made.start_bias, &made.start_multiplier,
                        &made.slope.value, &made.slope.mean, &made.slope.square, &made.shift.value, &made.shift.mean,
                        &made.shift.square, &made.table, &made.gradient})
        if (t->defined()) *t = t->to(device);
      for (Trained* t : {&made.slope, &made.shift})
        if (t->value.defined()) t->value.set_requires_grad(true);
      layers.push_back(made);
    }
  }

  /// The share of outputs, before rounding and pooling, whose code passes through a site.
  static Tensor passed_share(const Tensor& x, const TorchLayer& layer) {
    const double jump = layer.tmax + 0.5;
    const Tensor distance = (x.detach() - jump) / layer.deviation;
    const Tensor density = torch::exp(distance * distance * -0.5) / (layer.deviation * std::sqrt(2 * std::numbers::pi));
    return straight_through((x > jump).to(torch::kFloat32), x, density).mean();
  }

  /// Real logits, of the teacher or of the student, whose shares it sets.
  Tensor forward(Tensor x, bool student) {
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const Layer& shape = model.network.layers[i];
      TorchLayer& layer = layers[i];
      const bool convolution = shape.kind == LayerKind::convolution;
      const auto row = [&](const Tensor& t) { return convolution ? t.reshape({1, -1, 1, 1}) : t; };
      x = convolution ? torch::conv2d(x, layer.weight, {}, shape.stride, shape.padding)
                      : torch::linear(x.flatten(1), layer.weight);
      x = (x + row(student ? layer.start_bias : layer.bias)) * row(student ? layer.start_multiplier : layer.multiplier);
      if (student && layer.slope.value.defined()) x = x * row(torch::exp(layer.slope.value)) + row(layer.shift.value);
      if (student && layer.is_site && layer.tmax < 255) layer.share = passed_share(x, layer);
      // Max-pooling commutes with all that follows: pooled first, it has less to do.
      if (shape.pool > 1) x = torch::max_pool2d(x, shape.pool);
      const CodeScale& scale = model.layers[i].output;
      x = torch::clamp(round_codes(x) + scale.zero_point, lowest_code(shape, model.layers[i]), 255);
      if (student && layer.is_site) {
        const Tensor code = x.detach().to(torch::kLong);
        x = straight_through(layer.table.index({code}), x, layer.gradient.index({code}));
      }
      if (i + 1 == layers.size()) x = (x - scale.zero_point) * scale.scale;
    }
    return x;
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
  std::optional<double> held_share(const TorchLayer& layer) const {
    if (observations == 0 || !layer.share.defined()) return std::nullopt;
    return std::max(least_share, layer.observed / double(observations));
  }

  std::vector<std::pair<std::string, Tensor>> named() const {
    std::vector<std::pair<std::string, Tensor>> result;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      if (!layers[i].slope.value.defined()) continue;
      for (const auto& [name, trained] : {std::pair(".slope", &layers[i].slope), {".shift", &layers[i].shift}}) {
        const std::string prefix = model.network.layers[i].name + name;
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
  impl_->model = model;
  impl_->sites = problem.sites;
  impl_->start = start;
  impl_->device = choose_device(device);
  for (int c = 0; c < model.network.input_channels; ++c) {
    const auto input = input_codes(model, c);
    auto& values = impl_->pixel_values.emplace_back();
    for (int p = 0; p < 256; ++p) values[p] = float(input[p] - model.input().zero_point);
  }
  impl_->make_layers(codes, shared_slope, smoothing);
}

RepairNetwork::~RepairNetwork() = default;

void RepairNetwork::observe(std::span<const std::uint8_t> pixels) {
  torch::NoGradGuard no_grad;
  impl_->forward(impl_->images(pixels), true);
  ++impl_->observations;
  for (TorchLayer& layer : impl_->layers)
    if (layer.share.defined()) layer.observed += layer.share.item<float>();
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
  for (const TorchLayer& layer : impl_->layers)
    if (const auto held = impl_->held_share(layer)) loss = loss + layer.share * (layer.price / *held);
  loss.backward();
  torch::NoGradGuard no_grad;
  ++impl_->steps;
  for (TorchLayer& layer : impl_->layers) {
    if (!layer.slope.value.defined()) continue;
    impl_->update(layer.slope, step.multiplier_rate);
    impl_->update(layer.shift, step.bias_rate);
    layer.slope.value.clamp_(-largest_slope, largest_slope);
    if (const auto held = impl_->held_share(layer))
      layer.price = float(std::max(0.0, layer.price + price_rate * (layer.share.item<double>() / *held - 1)));
  }
  return kd.item<double>();
}

Repair RepairNetwork::repair() const {
  Repair repair(impl_->layers.size());
  for (std::size_t i = 0; i < impl_->layers.size(); ++i) {
    const TorchLayer& layer = impl_->layers[i];
    if (!layer.slope.value.defined()) {
      if (i < impl_->start.size()) repair[i] = impl_->start[i];
      continue;
    }
    const std::vector<float> slope = to_vector(layer.slope.value), shift = to_vector(layer.shift.value);
    Requantization& made = repair[i].emplace(impl_->at_start(i));
    for (std::size_t c = 0; c < made.bias.size(); ++c) {
      made.multiplier[c] = float(made.multiplier[c] * std::exp(double(slope[slope.size() == 1 ? 0 : c])));
      if (shift[c] == 0) continue;
      const double bias = std::nearbyint(made.bias[c] + double(shift[c]) / made.multiplier[c]);
      if (!(std::abs(bias) <= double(std::min(most_bias, largest_bias(impl_->model.layers[i], c)))))
        fail("the repair diverged: layer {}, channel {} needs a bias of {:g}; choose a smaller --lr or --bias-lr",
             impl_->model.network.layers[i].name, c, bias);
      made.bias[c] = std::int32_t(bias);
    }
  }
  check_repair(impl_->model, repair);
  return repair;
}

TrainingTensors RepairNetwork::tensors() const {
  TrainingTensors result{{"steps", {float(impl_->steps)}}, {"observations", {float(impl_->observations)}}};
  for (std::size_t i = 0; i < impl_->layers.size(); ++i) {
    const TorchLayer& layer = impl_->layers[i];
    if (layer.tmax < 255)
      result[impl_->model.network.layers[i].name + ".passed"] = {float(layer.observed), float(layer.price)};
  }
  for (const auto& [name, tensor] : impl_->named()) result[name] = to_vector(tensor);
  return result;
}

void RepairNetwork::set_tensors(const TrainingTensors& tensors) {
  torch::NoGradGuard no_grad;
  impl_->steps = std::int64_t(stored_tensor(tensors, "steps", 1)[0]);
  impl_->observations = std::int64_t(stored_tensor(tensors, "observations", 1)[0]);
  for (std::size_t i = 0; i < impl_->layers.size(); ++i) {
    TorchLayer& layer = impl_->layers[i];
    if (layer.tmax == 255) continue;
    const std::vector<float> passed = stored_tensor(tensors, impl_->model.network.layers[i].name + ".passed", 2);
    layer.observed = passed[0];
    layer.price = passed[1];
  }
  for (auto& [name, tensor] : impl_->named()) tensor.copy_(torch::tensor(stored_tensor(tensors, name, tensor.numel())));
}

}  // namespace triseg
