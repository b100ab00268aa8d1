#include "trainer/trainable_network.hpp"

#include "core/cores.hpp"
#include "core/error.hpp"
#include "trainer/torch_support.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace triseg {
namespace {

using torch::Tensor;

constexpr double norm_epsilon = 1e-5;
constexpr double range_momentum = 0.01;  // of the moving averages of the batch extremes, as PyTorch's observer has it

struct TorchLayer {
  Tensor weight;                                            // (out, in, kernel, kernel) or (out, in)
  Tensor bias;                                              // (out); undefined in front of batch norm until folded
  Tensor norm_weight, norm_bias, norm_mean, norm_variance;  // (out); defined while unfolded
  float minimum = 0, maximum = 0;                           // output range behind pooling and ReLU
};

Tensor fake_quantize_weight(const Tensor& weight, Scheme scheme) {
  const std::vector<float> scales = weight_scales(scheme, to_vector(weight.abs().flatten(1).amax(1)));
  if (scheme == Scheme::qnnpack) return torch::fake_quantize_per_tensor_affine(weight, scales.front(), 0, -127, 127);
  const Tensor scale = torch::tensor(scales, torch::kFloat32).to(weight.device());
  const Tensor zero = torch::zeros({weight.size(0)}, scale.options().dtype(torch::kInt32));
  return torch::fake_quantize_per_channel_affine(weight, scale, zero, 0, -127, 127);
}

}  // namespace

struct TrainableNetwork::Impl {
  Network network;
  std::vector<LayerTraining> training;  // (layers)
  Scheme scheme;
  std::vector<double> mean, standard_deviation;
  torch::Device device = torch::kCPU;
  std::vector<TorchLayer> layers;
  std::map<std::string, Tensor> momentum;  // by parameter name
  PixelValues pixel_values;                // (input_channels): what a pixel byte is to the network
  bool folded = false;
  int calibration_batches = 0;

  CodeScale input() const { return pixel_scale(scheme, mean, standard_deviation); }

  CodeScale output(std::size_t i) const {
    const TorchLayer& layer = layers[i];
    return network.layers[i].relu ? relu_scale(scheme, layer.maximum)
                                  : affine_scale(scheme, layer.minimum, layer.maximum);
  }

  /// Named tensors that training changes; `parameters_only` leaves out the running statistics.
  std::vector<std::pair<std::string, Tensor>> named(bool parameters_only) const {
    std::vector<std::pair<std::string, Tensor>> result;
    const auto add = [&](const std::string& name, const Tensor& tensor) {
      if (tensor.defined()) result.emplace_back(name, tensor);
    };
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const std::string prefix = network.layers[i].name + ".";
      add(prefix + "weight", layers[i].weight);
      add(prefix + "bias", layers[i].bias);
      add(prefix + "norm_weight", layers[i].norm_weight);
      add(prefix + "norm_bias", layers[i].norm_bias);
      if (parameters_only) continue;
      add(prefix + "norm_mean", layers[i].norm_mean);
      add(prefix + "norm_variance", layers[i].norm_variance);
    }
    return result;
  }

  void initialize(std::uint64_t seed) {
    auto generator = at::detail::createCPUGenerator(seed);
    for (std::size_t i = 0; i < network.layers.size(); ++i) {
      const Layer& shape = network.layers[i];
      TorchLayer layer;
      std::vector<std::int64_t> size = {shape.out_channels, shape.in_channels};
      if (shape.kind == LayerKind::convolution) size.insert(size.end(), {shape.kernel, shape.kernel});
      // He et al. 2015 for convolutions; fully connected layers start smaller, so that the first losses stay near
      // ln(classes).
      const double gain = shape.kind == LayerKind::convolution ? 2.0 : 1.0 / 3.0;
      layer.weight = torch::empty(size).normal_(0.0, std::sqrt(gain / shape.fan_in()), generator);
      if (shape.kind == LayerKind::convolution)
        layer.weight = layer.weight.contiguous(torch::MemoryFormat::ChannelsLast);
      if (training[i].batch_norm) {
        layer.norm_weight = torch::ones(shape.out_channels);
        layer.norm_bias = torch::zeros(shape.out_channels);
        layer.norm_mean = torch::zeros(shape.out_channels);
        layer.norm_variance = torch::ones(shape.out_channels);
      } else {
        layer.bias = torch::zeros(shape.out_channels);
      }
      layers.push_back(layer);
    }
    for (TorchLayer& layer : layers)
      for (Tensor* tensor :
           {&layer.weight, &layer.bias, &layer.norm_weight, &layer.norm_bias, &layer.norm_mean, &layer.norm_variance})
        if (tensor->defined()) *tensor = tensor->to(device);
    require_gradients();
  }

  void require_gradients() {
    for (auto& [name, tensor] : named(true)) tensor.set_requires_grad(true);
  }

  void set_pixel_values() {
    QuantizedNetwork carrier;
    carrier.network = network;
    carrier.mean = mean;
    carrier.standard_deviation = standard_deviation;
    carrier.layers.resize(1);
    carrier.layers[0].input = input();
    pixel_values.resize(network.input_channels);
    for (int c = 0; c < network.input_channels; ++c) {
      const auto codes = input_codes(carrier, c);
      for (int p = 0; p < 256; ++p)
        pixel_values[c][p] = folded ? float(input().scale * (codes[p] - input().zero_point))
                                    : (p / 255.0f - float(mean[c])) / float(standard_deviation[c]);
    }
  }

  Tensor images(std::span<const std::uint8_t> pixels) const {
    return image_tensor(pixels, pixel_values, network.input_side).to(device);
  }

  enum class Ranges { fixed, follow, calibrate };

  /// Makes `largest` the larger of both, or what is not a number.
  static void raise(float& largest, float value) {
    if (!std::isnan(largest) && !(value <= largest)) largest = value;
  }

  void observe(std::size_t i, const Tensor& output, Ranges ranges) {
    torch::NoGradGuard no_grad;
    TorchLayer& layer = layers[i];
    const float maximum = output.max().item<float>();
    const float minimum = network.layers[i].relu ? 0.0f : output.min().item<float>();
    if (!std::isfinite(maximum) || !std::isfinite(minimum))
      fail("layer {} gives values that are not finite", network.layers[i].name);
    const double weight = ranges == Ranges::follow ? range_momentum : 1.0 / calibration_batches;
    layer.maximum += float(weight * (maximum - layer.maximum));
    layer.minimum += float(weight * (minimum - layer.minimum));
  }

  Tensor forward(Tensor x, bool in_training, bool fake_quantized, Ranges ranges,
                 std::vector<float>* largest = nullptr) {
    if (largest) largest->resize(layers.size());
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const Layer& shape = network.layers[i];
      const TorchLayer& layer = layers[i];
      const Tensor weight = fake_quantized ? fake_quantize_weight(layer.weight, scheme) : layer.weight;
      if (shape.kind == LayerKind::convolution) {
        x = torch::conv2d(x, weight, layer.bias, shape.stride, shape.padding);
      } else {
        x = torch::linear(x.flatten(1), weight, layer.bias);
      }
      if (layer.norm_weight.defined())
        x = torch::batch_norm(x, layer.norm_weight, layer.norm_bias, layer.norm_mean, layer.norm_variance, in_training,
                              0.1, norm_epsilon, true);
      // Max-pooling commutes with ReLU and with quantization: pooled first, both have less to do.
      if (shape.pool > 1) x = torch::max_pool2d(x, shape.pool);
      if (shape.relu) x = torch::relu(x);
      if (ranges != Ranges::fixed) observe(i, x, ranges);
      if (largest) raise((*largest)[i], x.abs().max().item<float>());
      if (fake_quantized) {
        const CodeScale scale = output(i);
        x = torch::fake_quantize_per_tensor_affine(x, scale.scale, scale.zero_point, 0, 255);
      }
      if (in_training && training[i].dropout > 0) x = torch::dropout(x, training[i].dropout, true);
    }
    return x;
  }

  void update(const StepOptions& options) {
    torch::NoGradGuard no_grad;
    for (auto& [name, parameter] : named(true)) {
      Tensor gradient = parameter.grad();
      if (options.weight_decay > 0 && parameter.dim() > 1) gradient = gradient.add(parameter, options.weight_decay);
      Tensor& buffer = momentum[name];
      if (!buffer.defined()) buffer = torch::zeros_like(parameter);
      buffer.mul_(options.momentum).add_(gradient);
      parameter.add_(gradient.add(buffer, options.momentum), -options.learning_rate);
      parameter.mutable_grad() = Tensor();
    }
  }
};

TrainableNetwork::TrainableNetwork(const Recipe& recipe, Scheme scheme, std::vector<double> mean,
                                   std::vector<double> standard_deviation, std::uint64_t seed,
                                   const std::string& device)
    : impl_(std::make_unique<Impl>()) {
  impl_->network = recipe.network;
  impl_->training = recipe.training;
  impl_->scheme = scheme;
  impl_->mean = std::move(mean);
  impl_->standard_deviation = std::move(standard_deviation);
  impl_->device = choose_device(device);
  impl_->initialize(seed);
  impl_->set_pixel_values();
}

TrainableNetwork::~TrainableNetwork() = default;

bool TrainableNetwork::folded() const { return impl_->folded; }

void TrainableNetwork::fold() {
  if (impl_->folded) return;
  torch::NoGradGuard no_grad;
  for (TorchLayer& layer : impl_->layers) {
    if (layer.norm_weight.defined()) {
      const Tensor gain = layer.norm_weight / torch::sqrt(layer.norm_variance + norm_epsilon);
      layer.bias = (layer.norm_bias - layer.norm_mean * gain).detach();
      layer.weight = (layer.weight * gain.reshape({-1, 1, 1, 1})).detach();
      layer.norm_weight = layer.norm_bias = layer.norm_mean = layer.norm_variance = Tensor();
    }
  }
  impl_->momentum.clear();
  impl_->calibration_batches = 0;
  impl_->folded = true;
  impl_->require_gradients();
  impl_->set_pixel_values();
}

void TrainableNetwork::calibrate(std::span<const std::uint8_t> pixels) {
  torch::NoGradGuard no_grad;
  ++impl_->calibration_batches;
  impl_->forward(impl_->images(pixels), false, false, Impl::Ranges::calibrate);
}

double TrainableNetwork::step(std::span<const std::uint8_t> pixels, std::span<const std::uint16_t> labels,
                              const StepOptions& options) {
  Tensor target = torch::empty({std::int64_t(labels.size())}, torch::kInt64);
  std::copy(labels.begin(), labels.end(), target.data_ptr<std::int64_t>());
  const auto ranges = impl_->folded && options.observe ? Impl::Ranges::follow : Impl::Ranges::fixed;
  const Tensor logits = impl_->forward(impl_->images(pixels), true, impl_->folded, ranges);
  const Tensor loss = torch::nll_loss(torch::log_softmax(logits, 1), target.to(impl_->device));
  loss.backward();
  impl_->update(options);
  return loss.item<double>();
}

void TrainableNetwork::seed_dropout(std::uint64_t seed) { torch::manual_seed(seed); }

std::vector<float> TrainableNetwork::logits(std::span<const std::uint8_t> pixels, bool fake_quantized,
                                            std::vector<float>* largest) {
  torch::NoGradGuard no_grad;
  return to_vector(
      impl_->forward(impl_->images(pixels), false, impl_->folded && fake_quantized, Impl::Ranges::fixed, largest));
}

TrainingTensors TrainableNetwork::tensors() const {
  TrainingTensors result;
  for (const auto& [name, tensor] : impl_->named(false)) result[name] = to_vector(tensor);
  for (const auto& [name, tensor] : impl_->momentum) result[name + ".momentum"] = to_vector(tensor);
  for (std::size_t i = 0; i < impl_->layers.size(); ++i)
    result[impl_->network.layers[i].name + ".range"] = {impl_->layers[i].minimum, impl_->layers[i].maximum};
  return result;
}

void TrainableNetwork::set_tensors(const TrainingTensors& tensors) {
  torch::NoGradGuard no_grad;
  const auto restore = [&](Tensor& tensor, const std::string& name) {
    const std::vector<float>& values = stored_tensor(tensors, name, tensor.numel());
    tensor.copy_(torch::tensor(values).reshape(tensor.sizes()));
  };
  impl_->momentum.clear();
  for (auto& [name, tensor] : impl_->named(false)) {
    restore(tensor, name);
    if (tensors.count(name + ".momentum")) {
      Tensor buffer = torch::zeros_like(tensor);
      restore(buffer, name + ".momentum");
      impl_->momentum[name] = buffer;
    }
  }
  for (std::size_t i = 0; i < impl_->layers.size(); ++i) {
    const std::vector<float> range = stored_tensor(tensors, impl_->network.layers[i].name + ".range", 2);
    impl_->layers[i].minimum = range[0];
    impl_->layers[i].maximum = range[1];
  }
}

TrainedNetwork TrainableNetwork::trained() const {
  if (!impl_->folded) fail("{}: batch norm must be folded before conversion", impl_->network.name);
  TrainedNetwork result;
  result.mean = impl_->mean;
  result.standard_deviation = impl_->standard_deviation;
  result.input = impl_->input();
  for (std::size_t i = 0; i < impl_->layers.size(); ++i)
    result.layers.push_back({to_vector(impl_->layers[i].weight), to_vector(impl_->layers[i].bias), impl_->output(i)});
  return result;
}

const std::vector<float>& stored_tensor(const TrainingTensors& tensors, const std::string& name, std::size_t size) {
  const auto found = tensors.find(name);
  if (found == tensors.end()) fail("training state: tensor {} is missing", name);
  if (found->second.size() != size)
    fail("training state: tensor {} has {} values, expected {}", name, found->second.size(), size);
  return found->second;
}

void check_device(const std::string& device) { choose_device(device); }

void set_training_threads(int threads) {
  const int n = threads > 0 ? threads : available_cores();
  torch::set_num_threads(n);
  // OpenBLAS, where it is LibTorch's BLAS, counts its threads by itself.
  if (void* const function = dlsym(RTLD_DEFAULT, "openblas_set_num_threads"))
    reinterpret_cast<void (*)(int)>(function)(n);
}

}  // namespace triseg
