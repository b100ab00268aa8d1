#include "trainer/repair_network.hpp"

#include "trainer/torch_support.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace triseg {
namespace {

using torch::Tensor;

constexpr double mean_decay = 0.9, square_decay = 0.999, epsilon = 1e-8;  // Adam's
constexpr double largest_bias = 1 << 30;

/// A trained quantity and Adam's moving averages of its gradient and of the gradient's square.
struct Trained {
  Tensor value, mean, square;
};

struct TorchLayer {
  Tensor weight;            // codes: (out, in, kernel, kernel) or (out, in)
  Tensor bias, multiplier;  // the model's own (out)
  Tensor start_bias, start_multiplier;  // the student's at the start (out)
  Trained slope, shift;                 // (out), or slope (1); defined from the first site on
  Tensor table, gradient;               // (256), sites only: the staircase and its smoothed gradient
};

template <class T>
Tensor floats(const std::vector<T>& values) {
  return torch::tensor(std::vector<float>(values.begin(), values.end()));
}

/// x in value, with the gradient that `gradient` times that of x has.
Tensor straight_through(const Tensor& value, const Tensor& x, const Tensor& gradient) {
  return value.detach() + gradient * (x - x.detach());
}

Tensor round_codes(const Tensor& x) { return torch::round(x).detach() + (x - x.detach()); }

}  // namespace

std::array<float, 256> smoothed_gradient(const Codes& codes, double smoothing) {
  const Table table = staircase(codes);
  std::array<double, 256> sum{};
  const auto add_jump = [&](int t, int height) {
    const double deviation = std::max(0.5, smoothing * height);
    for (int q = 0; q < 256; ++q) {
      const double x = (q - t - 0.5) / deviation;
      sum[q] += height * std::exp(-0.5 * x * x) / (deviation * std::sqrt(2 * std::numbers::pi));
    }
  };
  for (int t : {codes.t1, codes.t2, codes.tmax})
    if (t < 255 && table[t + 1] > table[t]) add_jump(t, table[t + 1] - table[t]);
  std::array<float, 256> result{};
  for (int q = 0; q < 256; ++q) result[q] = float(sum[q] + (q > codes.tmax ? 1.0 : 0.0));
  return result;
}

struct RepairNetwork::Impl {
  QuantizedNetwork model;
  Repair start;
  torch::Device device = torch::kCPU;
  std::vector<TorchLayer> layers;
  std::vector<std::array<float, 256>> pixel_values;  // (input_channels): the input code of a pixel byte less the zero point
  std::int64_t steps = 0;

  const Requantization& at_start(std::size_t i) const {
    return i < start.size() && start[i] ? *start[i] : model.layers[i].requantization;
  }

  void make_layers(std::span<const Codes> codes, bool one_slope_a_layer, double smoothing) {
    const std::size_t first = model.network.sites().front();
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
        for (auto [trained, size] : {std::pair(&made.slope, one_slope_a_layer ? 1 : shape.out_channels), {&made.shift, shape.out_channels}}) {
          trained->value = torch::zeros(size);
          trained->mean = torch::zeros(size);
          trained->square = torch::zeros(size);
        }
      }
      if (shape.site) {
        const Table table = staircase(codes[site]);
        const auto gradient = smoothed_gradient(codes[site], smoothing);
        made.table = floats(std::vector<std::uint8_t>(table.begin(), table.end()));
        made.gradient = floats(std::vector<float>(gradient.begin(), gradient.end()));
        ++site;
      }
      for (Tensor* t : {&made.weight, &made.bias, &made.multiplier, &made.start_bias, &made.start_multiplier, &made.slope.value,
                        &made.slope.mean, &made.slope.square, &made.shift.value, &made.shift.mean, &made.shift.square, &made.table,
                        &made.gradient})
        if (t->defined()) *t = t->to(device);
      for (Trained* t : {&made.slope, &made.shift})
        if (t->value.defined()) t->value.set_requires_grad(true);
      layers.push_back(made);
    }
  }

  /// Real logits, of the teacher or of the student.
  Tensor forward(Tensor x, bool student) const {
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const Layer& shape = model.network.layers[i];
      const TorchLayer& layer = layers[i];
      const bool convolution = shape.kind == LayerKind::convolution;
      const auto row = [&](const Tensor& t) { return convolution ? t.reshape({1, -1, 1, 1}) : t; };
      x = convolution ? torch::conv2d(x, layer.weight, {}, shape.stride, shape.padding) : torch::linear(x.flatten(1), layer.weight);
      x = (x + row(student ? layer.start_bias : layer.bias)) * row(student ? layer.start_multiplier : layer.multiplier);
      if (student && layer.slope.value.defined()) x = x * row(torch::exp(layer.slope.value)) + row(layer.shift.value);
      // Max-pooling commutes with all that follows: pooled first, it has less to do.
      if (shape.pool > 1) x = torch::max_pool2d(x, shape.pool);
      const CodeScale& scale = model.layers[i].output;
      x = torch::clamp(round_codes(x) + scale.zero_point, lowest_code(shape, model.layers[i]), 255);
      if (student && shape.site) {
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
    const double mean_share = 1 - std::pow(mean_decay, double(steps)), square_share = 1 - std::pow(square_decay, double(steps));
    trained.value.addcdiv_(trained.mean / mean_share, (trained.square / square_share).sqrt_().add_(epsilon), -rate);
    trained.value.mutable_grad() = Tensor();
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

RepairNetwork::RepairNetwork(const QuantizedNetwork& model, std::span<const Codes> codes, const Repair& start, bool one_slope_a_layer,
                             double smoothing, const std::string& device)
    : impl_(std::make_unique<Impl>()) {
  impl_->model = model;
  impl_->start = start;
  impl_->device = choose_device(device);
  for (int c = 0; c < model.network.input_channels; ++c) {
    const auto input = input_codes(model, c);
    auto& values = impl_->pixel_values.emplace_back();
    for (int p = 0; p < 256; ++p) values[p] = float(input[p] - model.input().zero_point);
  }
  impl_->make_layers(codes, one_slope_a_layer, smoothing);
}

RepairNetwork::~RepairNetwork() = default;

double RepairNetwork::step(std::span<const std::uint8_t> pixels, const RepairStep& step) {
  const Tensor images = image_tensor(pixels, impl_->pixel_values, impl_->model.network.input_side).to(impl_->device);
  Tensor target;
  {
    torch::NoGradGuard no_grad;
    target = torch::log_softmax(impl_->forward(images, false) / step.temperature, 1);
  }
  const Tensor logits = torch::log_softmax(impl_->forward(images, true) / step.temperature, 1);
  const Tensor loss = (target.exp() * (target - logits)).sum(1).mean() * (step.temperature * step.temperature);
  loss.backward();
  torch::NoGradGuard no_grad;
  ++impl_->steps;
  for (TorchLayer& layer : impl_->layers) {
    if (!layer.slope.value.defined()) continue;
    impl_->update(layer.slope, step.multiplier_rate);
    impl_->update(layer.shift, step.bias_rate);
  }
  return loss.item<double>();
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
      const double bias = std::nearbyint(made.bias[c] + double(shift[c]) / made.multiplier[c]);
      made.bias[c] = std::int32_t(std::clamp(bias, -largest_bias, largest_bias));
    }
  }
  return repair;
}

TrainingTensors RepairNetwork::tensors() const {
  TrainingTensors result{{"steps", {float(impl_->steps)}}};
  for (const auto& [name, tensor] : impl_->named()) result[name] = to_vector(tensor);
  return result;
}

void RepairNetwork::set_tensors(const TrainingTensors& tensors) {
  torch::NoGradGuard no_grad;
  impl_->steps = std::int64_t(stored_tensor(tensors, "steps", 1)[0]);
  for (auto& [name, tensor] : impl_->named()) tensor.copy_(torch::tensor(stored_tensor(tensors, name, tensor.numel())));
}

}  // namespace triseg
