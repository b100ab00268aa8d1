#include <torch/torch.h>

#include "learner/policy_network.hpp"

#include "core/error.hpp"
#include "core/philox.hpp"

#include <cmath>

namespace triseg {
namespace {

constexpr std::int64_t hidden = 64, inputs = 4, head_count = 4, codes_count = 256;

StoredTensor stored(const torch::Tensor& tensor) {
  const auto flat = tensor.detach().contiguous();
  StoredTensor result;
  for (auto size : flat.sizes()) result.shape.push_back(static_cast<std::uint64_t>(size));
  result.values.assign(flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel());
  return result;
}

void load(const Checkpoint& checkpoint, const std::string& name, torch::Tensor& into) {
  const auto found = checkpoint.tensors.find(name);
  if (found == checkpoint.tensors.end()) fail("checkpoint: tensor '{}' is missing", name);
  if (found->second.shape != stored(into).shape) fail("checkpoint: tensor '{}' has another shape than this policy", name);
  torch::NoGradGuard no_gradients;
  std::copy(found->second.values.begin(), found->second.values.end(), into.data_ptr<float>());
}

}  // namespace

struct PolicyNetwork::Parameter {
  std::string name;
  torch::Tensor value, first_moment, second_moment;
};

PolicyNetwork::PolicyNetwork(std::uint64_t seed, bool zero_heads) {
  const auto add = [&](const std::string& name, std::vector<std::int64_t> shape, std::int64_t fan_in, bool zero) {
    auto value = torch::zeros(shape);
    const double bound = zero ? 0.0 : 1.0 / std::sqrt(double(fan_in));
    for (std::int64_t i = 0; i < value.numel(); ++i)
      value.data_ptr<float>()[i] = static_cast<float>(
          bound * (2 * uniform(seed, Stream::initial_weights, static_cast<std::uint64_t>(i), std::uint32_t(parameters_.size())) - 1));
    auto moment = torch::zeros_like(value);
    parameters_.push_back({name, value.requires_grad_(), moment, moment.clone()});
  };
  add("encoder1.weight", {hidden, inputs}, inputs, false);
  add("encoder1.bias", {hidden}, inputs, false);
  add("encoder2.weight", {hidden, hidden}, hidden, false);
  add("encoder2.bias", {hidden}, hidden, false);
  add("heads.weight", {head_count * codes_count, hidden}, hidden, zero_heads);
  add("heads.bias", {head_count * codes_count}, hidden, zero_heads);
  add("critic.weight", {1, hidden}, hidden, zero_heads);
  add("critic.bias", {1}, hidden, zero_heads);
}

PolicyNetwork::~PolicyNetwork() = default;

std::pair<at::Tensor, at::Tensor> PolicyNetwork::forward(const at::Tensor& states) const {
  const auto linear = [&](const torch::Tensor& x, std::size_t at) {
    return torch::linear(x, parameters_[at].value, parameters_[at + 1].value);
  };
  const auto encoded = linear(linear(states, 0).tanh(), 2).tanh();
  return {linear(encoded, 4).view({states.size(0), head_count, codes_count}), linear(encoded, 6).squeeze(1)};
}

void PolicyNetwork::step(const at::Tensor& loss, double learning_rate) {
  constexpr double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  for (auto& p : parameters_) p.value.mutable_grad() = torch::Tensor();
  loss.backward();
  ++steps_;
  torch::NoGradGuard no_gradients;
  const double correction1 = 1 - std::pow(beta1, double(steps_)), correction2 = 1 - std::pow(beta2, double(steps_));
  for (auto& p : parameters_) {
    const auto& gradient = p.value.grad();
    p.first_moment.mul_(beta1).add_(gradient, 1 - beta1);
    p.second_moment.mul_(beta2).addcmul_(gradient, gradient, 1 - beta2);
    p.value.addcdiv_(p.first_moment, (p.second_moment / correction2).sqrt_().add_(epsilon), -learning_rate / correction1);
  }
}

void PolicyNetwork::save(Checkpoint& checkpoint) const {
  for (const auto& p : parameters_) {
    checkpoint.tensors["policy/" + p.name] = stored(p.value);
    checkpoint.tensors["adam_m/" + p.name] = stored(p.first_moment);
    checkpoint.tensors["adam_v/" + p.name] = stored(p.second_moment);
  }
  checkpoint.optimizer_steps = steps_;
}

void PolicyNetwork::restore(const Checkpoint& checkpoint) {
  for (auto& p : parameters_) {
    load(checkpoint, "policy/" + p.name, p.value);
    load(checkpoint, "adam_m/" + p.name, p.first_moment);
    load(checkpoint, "adam_v/" + p.name, p.second_moment);
  }
  steps_ = checkpoint.optimizer_steps;
}

}  // namespace triseg
