#include "trainer/trainable_network.hpp"

#include "core/cores.hpp"
#include "core/error.hpp"
#include "trainer/float_operations.hpp"
#include "trainer/torch_support.hpp"
#include "trainer/value_scales.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace triseg {
namespace {

using torch::Tensor;

constexpr double norm_epsilon = 1e-5;
constexpr double range_momentum = 0.01;  // of the moving averages of the batch extremes, as PyTorch's observer has it

/// What training changes of a node. Defined for convolutions.
struct TorchNode {
  Tensor weight;                                            // weight_shape()
  Tensor bias;                                              // (out); undefined in front of batch norm until folded
  Tensor norm_weight, norm_bias, norm_mean, norm_variance;  // (out); defined while unfolded
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
  std::vector<LayerTraining> training;  // (nodes)
  Scheme scheme;
  std::vector<double> mean, standard_deviation;
  ValueScales scales;
  std::vector<int> pooled;  // (nodes): pooled_by()
  torch::Device device = torch::kCPU;
  std::vector<TorchNode> nodes;
  std::vector<ObservedRange> ranges;       // (nodes)
  std::map<std::string, Tensor> momentum;  // by parameter name
  PixelValues pixel_values;                // (input channels): what a pixel byte is to the network
  bool folded = false;
  int calibration_batches = 0;

  explicit Impl(const Recipe& recipe)
      : network(recipe.network), training(recipe.training), scales(network), pooled(pooled_by(network)) {
    for (const Node& node : network.nodes)
      if (!is_trained(node.operation))
        fail("{}: node {}: a {} cannot be trained", network.name, node.name, operation_name(node.operation));
    ranges.resize(network.nodes.size());
  }

  CodeScale input() const { return pixel_scale(scheme, mean, standard_deviation); }
  CodeScale output(std::size_t i) const { return scales.scale(i, scheme, ranges, input()); }

  /// Named tensors that training changes; `parameters_only` leaves out the running statistics.
  std::vector<std::pair<std::string, Tensor>> named(bool parameters_only) const {
    std::vector<std::pair<std::string, Tensor>> result;
    const auto add = [&](const std::string& name, const Tensor& tensor) {
      if (tensor.defined()) result.emplace_back(name, tensor);
    };
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      const std::string prefix = network.nodes[i].name + ".";
      add(prefix + "weight", nodes[i].weight);
      add(prefix + "bias", nodes[i].bias);
      add(prefix + "norm_weight", nodes[i].norm_weight);
      add(prefix + "norm_bias", nodes[i].norm_bias);
      if (parameters_only) continue;
      add(prefix + "norm_mean", nodes[i].norm_mean);
      add(prefix + "norm_variance", nodes[i].norm_variance);
    }
    return result;
  }

  void initialize(std::uint64_t seed) {
    auto generator = at::detail::createCPUGenerator(seed);
    for (std::size_t i = 0; i < network.nodes.size(); ++i) {
      const Node& shape = network.nodes[i];
      TorchNode node;
      if (shape.operation == Operation::convolution) {
        const bool fully_connected = network.fully_connected(shape);
        const int channels = shape.shape.channels;
        // He et al. 2015 for convolutions; fully connected layers start smaller, so that the first losses stay near
        // ln(classes).
        const double gain = fully_connected ? 1.0 / 3.0 : 2.0;
        node.weight =
            torch::empty(weight_shape(network, shape)).normal_(0.0, std::sqrt(gain / network.fan_in(shape)), generator);
        if (!fully_connected) node.weight = node.weight.contiguous(torch::MemoryFormat::ChannelsLast);
        if (training[i].batch_norm) {
          node.norm_weight = torch::ones(channels);
          node.norm_bias = torch::zeros(channels);
          node.norm_mean = torch::zeros(channels);
          node.norm_variance = torch::ones(channels);
        } else {
          node.bias = torch::zeros(channels);
        }
      }
      for (Tensor* tensor :
           {&node.weight, &node.bias, &node.norm_weight, &node.norm_bias, &node.norm_mean, &node.norm_variance})
        if (tensor->defined()) *tensor = tensor->to(device);
      nodes.push_back(node);
    }
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
    carrier.input = input();
    pixel_values.resize(network.input.channels);
    for (int c = 0; c < network.input.channels; ++c) {
      const auto codes = input_codes(carrier, c);
      for (int p = 0; p < 256; ++p)
        pixel_values[c][p] = folded ? float(input().scale * (codes[p] - input().zero_point))
                                    : (p / 255.0f - float(mean[c])) / float(standard_deviation[c]);
    }
  }

  Tensor images(std::span<const std::uint8_t> pixels) const {
    return image_tensor(pixels, pixel_values, network.input).to(device);
  }

  enum class Ranges { fixed, follow, calibrate };

  /// Makes `largest` the larger of both, or what is not a number.
  static void raise(float& largest, float value) {
    if (!std::isnan(largest) && !(value <= largest)) largest = value;
  }

  void observe(std::size_t i, const Tensor& output, Ranges how) {
    torch::NoGradGuard no_grad;
    ObservedRange& range = ranges[i];
    const float maximum = output.max().item<float>();
    const float minimum = network.nodes[i].relu ? 0.0f : output.min().item<float>();
    if (!std::isfinite(maximum) || !std::isfinite(minimum))
      fail("layer {} gives values that are not finite", network.nodes[i].name);
    const double weight = how == Ranges::follow ? range_momentum : 1.0 / calibration_batches;
    range.maximum += float(weight * (maximum - range.maximum));
    range.minimum += float(weight * (minimum - range.minimum));
  }

  /// A node's value in float, before pooling and ReLU.
  Tensor compute(std::size_t i, const Values& values, bool in_training, bool fake_quantized) const {
    const Node& shape = network.nodes[i];
    const TorchNode& node = nodes[i];
    const Tensor& x = values[shape.inputs.front()];
    switch (shape.operation) {
      case Operation::convolution: {
        const Tensor weight = fake_quantized ? fake_quantize_weight(node.weight, scheme) : node.weight;
        const Tensor y = convolve(network, shape, x, weight, node.bias);
        if (!node.norm_weight.defined()) return y;
        return torch::batch_norm(y, node.norm_weight, node.norm_bias, node.norm_mean, node.norm_variance, in_training,
                                 0.1, norm_epsilon, true);
      }
      case Operation::average: {
        const std::vector<int> counts = window_counts(network, shape);
        const Tensor divisors = torch::tensor(std::vector<float>(counts.begin(), counts.end())).to(device);
        return pool_sum(network, shape, x) / divisors.reshape({1, 1, shape.shape.height, shape.shape.width});
      }
      case Operation::maximum: return pool_maximum(network, shape, x);
      case Operation::add: return as_planes(x) + as_planes(values[shape.inputs[1]]);
      case Operation::multiply: return as_planes(x) * as_planes(values[shape.inputs[1]]);
      case Operation::concatenate: {
        std::vector<Tensor> parts;
        for (const int input : shape.inputs) parts.push_back(as_planes(values[input]));
        return torch::cat(parts, 1);
      }
      default: fail("node {}: not trained", shape.name);  // the constructor refuses it
    }
  }

  Tensor forward(Tensor image, bool in_training, bool fake_quantized, Ranges how,
                 std::vector<float>* largest = nullptr) {
    if (largest) largest->resize(nodes.size());
    Values values(network, std::move(image));
    std::vector<bool> done(nodes.size());
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      if (done[i]) {
        values.done(network.nodes[i]);
        continue;
      }
      Tensor x = compute(i, values, in_training, fake_quantized);
      const bool is_pooled = pooled[i] >= 0;
      const std::size_t made = is_pooled ? pooled[i] : i;
      if (is_pooled) x = pool_maximum(network, network.nodes[made], x);
      if (network.nodes[i].relu) x = torch::relu(x);
      if (how != Ranges::fixed && scales.has_range(i)) observe(i, x, how);
      if (largest) {
        raise((*largest)[i], x.abs().max().item<float>());
        (*largest)[made] = (*largest)[i];
      }
      if (fake_quantized && scales.has_range(i)) {
        const CodeScale scale = output(i);
        x = torch::fake_quantize_per_tensor_affine(x, scale.scale, scale.zero_point, 0, 255);
      }
      if (in_training && training[i].dropout > 0) x = torch::dropout(x, training[i].dropout, true);
      if (in_training && is_pooled && training[made].dropout > 0) x = torch::dropout(x, training[made].dropout, true);
      values.done(network.nodes[i]);
      done[made] = true;
      values.set(made, std::move(x));
    }
    return values[static_cast<int>(nodes.size()) - 1].flatten(1);
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
    : impl_(std::make_unique<Impl>(recipe)) {
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
  for (TorchNode& node : impl_->nodes) {
    if (node.norm_weight.defined()) {
      const Tensor gain = node.norm_weight / torch::sqrt(node.norm_variance + norm_epsilon);
      node.bias = (node.norm_bias - node.norm_mean * gain).detach();
      std::vector<std::int64_t> rows(node.weight.dim(), 1);
      rows.front() = -1;
      node.weight = (node.weight * gain.reshape(rows)).detach();
      node.norm_weight = node.norm_bias = node.norm_mean = node.norm_variance = Tensor();
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
  for (std::size_t i = 0; i < impl_->nodes.size(); ++i)
    if (impl_->scales.has_range(i))
      result[impl_->network.nodes[i].name + ".range"] = {impl_->ranges[i].minimum, impl_->ranges[i].maximum};
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
  for (std::size_t i = 0; i < impl_->nodes.size(); ++i) {
    if (!impl_->scales.has_range(i)) continue;
    const std::vector<float>& range = stored_tensor(tensors, impl_->network.nodes[i].name + ".range", 2);
    impl_->ranges[i] = {range[0], range[1]};
  }
}

TrainedNetwork TrainableNetwork::trained() const {
  if (!impl_->folded) fail("{}: batch norm must be folded before conversion", impl_->network.name);
  TrainedNetwork result;
  result.mean = impl_->mean;
  result.standard_deviation = impl_->standard_deviation;
  result.input = impl_->input();
  for (std::size_t i = 0; i < impl_->nodes.size(); ++i) {
    TrainedNode& node = result.nodes.emplace_back();
    node.output = impl_->output(i);
    if (!impl_->nodes[i].weight.defined()) continue;
    node.weights = to_vector(impl_->nodes[i].weight);
    node.bias = to_vector(impl_->nodes[i].bias);
  }
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
