#include "learner/strategies/policy_network.hpp"

#include "core/philox.hpp"
#include "core/reproducible.hpp"
#include "learner/checkpoint.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace triseg {
namespace {

const std::vector<std::size_t> critic_output{0};

void apply_tanh(std::vector<double>& x) {
  for (double& v : x) v = reproducible_tanh(v);
}

/// dy of y = tanh(x) to dx.
void tanh_backward(const std::vector<double>& y, std::vector<double>& dy) {
  for (std::size_t i = 0; i < y.size(); ++i) dy[i] *= 1.0 - y[i] * y[i];
}

}  // namespace

PolicyNetwork::PolicyNetwork(std::vector<std::array<double, inputs>> states, std::size_t heads, std::size_t columns,
                             std::uint64_t seed, bool zero_heads)
    : hidden_outputs_(hidden) {
  for (const auto& state : states) states_.insert(states_.end(), state.begin(), state.end());
  std::iota(hidden_outputs_.begin(), hidden_outputs_.end(), 0);
  for (std::size_t h = 0; h < heads; ++h)
    for (std::size_t c = 0; c < columns; ++c) head_outputs_.push_back(h * codes + c);

  const auto add = [&](const std::string& name, std::vector<std::uint64_t> shape, std::size_t fan_in, bool zero) {
    const std::uint64_t size = std::accumulate(shape.begin(), shape.end(), std::uint64_t{1}, std::multiplies<>());
    const double bound = zero ? 0.0 : 1.0 / std::sqrt(double(fan_in));
    Parameter p{name, std::move(shape), std::vector<float>(size), std::vector<float>(size), std::vector<float>(size)};
    for (std::uint64_t i = 0; i < size; ++i)
      p.value[i] = static_cast<float>(
          bound * (2 * uniform(seed, Stream::initial_weights, i, static_cast<std::uint32_t>(parameters_.size())) - 1));
    parameters_.push_back(std::move(p));
  };
  add("encoder1.weight", {hidden, inputs}, inputs, false);
  add("encoder1.bias", {hidden}, inputs, false);
  add("encoder2.weight", {hidden, hidden}, hidden, false);
  add("encoder2.bias", {hidden}, hidden, false);
  add("heads.weight", {heads * codes, hidden}, hidden, zero_heads);
  add("heads.bias", {heads * codes}, hidden, zero_heads);
  add("critic.weight", {1, hidden}, hidden, zero_heads);
  add("critic.bias", {1}, hidden, zero_heads);
}

PolicyNetwork::Rows PolicyNetwork::linear(const Linear& layer, const Rows& x,
                                          const std::vector<std::size_t>& outputs) const {
  const auto& weight = parameters_[layer.weight].value;
  const auto& bias = parameters_[layer.weight + 1].value;
  Rows y(rows() * outputs.size());
  // Several sums at a time, each in its own order: one waits for none of the others.
  constexpr std::size_t at_once = 8;
  for (std::size_t r = 0; r < rows(); ++r)
    for (std::size_t begin = 0; begin < outputs.size(); begin += at_once) {
      const std::size_t count = std::min(at_once, outputs.size() - begin);
      std::array<double, at_once> sum{};
      std::array<const float*, at_once> row{};
      for (std::size_t k = 0; k < at_once; ++k) {
        const std::size_t o = outputs[begin + std::min(k, count - 1)];
        sum[k] = bias[o];
        row[k] = &weight[o * layer.fan_in];
      }
      for (std::size_t i = 0; i < layer.fan_in; ++i)
        for (std::size_t k = 0; k < at_once; ++k) sum[k] += x[r * layer.fan_in + i] * row[k][i];
      std::copy_n(sum.begin(), count, &y[r * outputs.size() + begin]);
    }
  return y;
}

PolicyNetwork::Rows PolicyNetwork::linear_backward(const Linear& layer, const Rows& x, const Rows& dy,
                                                   const std::vector<std::size_t>& outputs,
                                                   std::vector<std::vector<double>>& gradients) const {
  const auto& weight = parameters_[layer.weight].value;
  Rows dx(x.size());
  for (std::size_t r = 0; r < rows(); ++r)
    for (std::size_t o = 0; o < outputs.size(); ++o) {
      const double d = dy[r * outputs.size() + o];
      const std::size_t at = outputs[o] * layer.fan_in;
      gradients[layer.weight + 1][outputs[o]] += d;
      for (std::size_t i = 0; i < layer.fan_in; ++i) {
        gradients[layer.weight][at + i] += d * x[r * layer.fan_in + i];
        dx[r * layer.fan_in + i] += d * weight[at + i];
      }
    }
  return dx;
}

PolicyNetwork::Forward PolicyNetwork::forward() const {
  Forward result;
  result.first = linear(encoder1, states_, hidden_outputs_);
  apply_tanh(result.first);
  result.second = linear(encoder2, result.first, hidden_outputs_);
  apply_tanh(result.second);
  result.heads = linear(heads_layer, result.second, head_outputs_);
  result.values = linear(critic, result.second, critic_output);
  return result;
}

void PolicyNetwork::step(const Forward& at, const Output& gradient, double learning_rate) {
  std::vector<std::vector<double>> gradients;
  for (const Parameter& p : parameters_) gradients.emplace_back(p.value.size());
  const Rows &first = at.first, &second = at.second;
  Rows d_second = linear_backward(heads_layer, second, gradient.heads, head_outputs_, gradients);
  const Rows d_critic = linear_backward(critic, second, gradient.values, critic_output, gradients);
  for (std::size_t i = 0; i < d_second.size(); ++i) d_second[i] += d_critic[i];
  tanh_backward(second, d_second);
  Rows d_first = linear_backward(encoder2, first, d_second, hidden_outputs_, gradients);
  tanh_backward(first, d_first);
  linear_backward(encoder1, states_, d_first, hidden_outputs_, gradients);

  constexpr double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  ++steps_;
  const double correction1 = 1 - reproducible_power(beta1, steps_), correction2 = 1 - reproducible_power(beta2, steps_);
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    Parameter& parameter = parameters_[p];
    for (std::size_t i = 0; i < parameter.value.size(); ++i) {
      const double g = gradients[p][i];
      const double m = beta1 * parameter.first_moment[i] + (1 - beta1) * g;
      const double v = beta2 * parameter.second_moment[i] + (1 - beta2) * g * g;
      parameter.first_moment[i] = static_cast<float>(m);
      parameter.second_moment[i] = static_cast<float>(v);
      parameter.value[i] = static_cast<float>(parameter.value[i] - learning_rate * (m / correction1) /
                                                                       (std::sqrt(v / correction2) + epsilon));
    }
  }
}

void PolicyNetwork::save(Checkpoint& checkpoint) const {
  for (const Parameter& p : parameters_) {
    if (p.value.empty()) continue;  // of no heads
    checkpoint.tensors["policy/" + p.name] = {p.shape, p.value};
    checkpoint.tensors["adam_m/" + p.name] = {p.shape, p.first_moment};
    checkpoint.tensors["adam_v/" + p.name] = {p.shape, p.second_moment};
  }
  checkpoint.optimizer_steps = steps_;
}

void PolicyNetwork::restore(const Checkpoint& checkpoint) {
  const auto load = [&](const std::string& name, const Parameter& p, std::vector<float>& into) {
    into = stored_values(checkpoint, name, p.shape);
  };
  for (Parameter& p : parameters_) {
    if (p.value.empty()) continue;
    load("policy/" + p.name, p, p.value);
    load("adam_m/" + p.name, p, p.first_moment);
    load("adam_v/" + p.name, p, p.second_moment);
  }
  steps_ = checkpoint.optimizer_steps;
}

}  // namespace triseg
