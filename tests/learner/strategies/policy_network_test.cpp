// The gradient of every parameter against finite differences, and Adam's first step.
#include "learner/strategies/policy_network.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace triseg {
namespace {

constexpr std::size_t columns = 40;

PolicyNetwork network(bool zero_heads = false) {
  return {{{0.0, 0.2, 0.5, 0.1}, {0.5, -0.3, 0.4, 0.9}, {1.0, 0.7, -0.1, 0.3}}, 4, columns, 7, zero_heads};
}

/// Some fixed weights of the outputs: the loss is their scalar product with the outputs.
PolicyNetwork::Output weights() {
  PolicyNetwork::Output w{std::vector<double>(3 * 4 * columns), std::vector<double>(3)};
  for (std::size_t i = 0; i < w.heads.size(); ++i) w.heads[i] = std::sin(double(i));
  for (std::size_t i = 0; i < w.values.size(); ++i) w.values[i] = 0.5 + double(i);
  return w;
}

double loss(const PolicyNetwork& n) {
  const auto output = n.forward();
  const auto w = weights();
  double sum = 0;
  for (std::size_t i = 0; i < w.heads.size(); ++i) sum += w.heads[i] * output.heads[i];
  for (std::size_t i = 0; i < w.values.size(); ++i) sum += w.values[i] * output.values[i];
  return sum;
}

TEST(PolicyNetwork, GradientsAreThoseOfFiniteDifferences) {
  Checkpoint start;
  network().save(start);
  auto stepped = network();
  stepped.step(stepped.forward(), weights(), 0.0);
  Checkpoint after;
  stepped.save(after);
  for (const auto& [name, tensor] : start.tensors) {
    if (name.substr(0, 7) != "policy/") continue;
    const auto& moment = after.tensors.at("adam_m/" + name.substr(7)).values;  // 0.1 of the gradient
    for (std::size_t k = 0; k < 12; ++k) {
      const std::size_t i = k * 37 % tensor.values.size();
      double numeric = 0, width = 0;
      for (int sign : {-1, 1}) {
        Checkpoint moved = start;
        float& value = moved.tensors.at(name).values[i];
        value += sign * 0.01f;
        width += sign * double(value);
        auto n = network();
        n.restore(moved);
        numeric += sign * loss(n);
      }
      EXPECT_NEAR(numeric / width, moment[i] / 0.1, 1e-3) << name << "[" << i << "]";
    }
  }
}

TEST(PolicyNetwork, AdamsFirstStepHasTheLearningRatesLength) {
  Checkpoint before, after;
  auto n = network(true);
  n.save(before);
  n.step(n.forward(), weights(), 0.01);
  n.save(after);
  EXPECT_EQ(after.optimizer_steps, 1u);
  const auto& from = before.tensors.at("policy/heads.bias").values;
  const auto& to = after.tensors.at("policy/heads.bias").values;
  for (std::size_t i = 0; i < from.size(); ++i)
    EXPECT_NEAR(std::abs(to[i] - from[i]), i % 256 < columns ? 0.01 : 0.0, 1e-4) << i;
}

TEST(PolicyNetwork, ZeroHeadsSayNothing) {
  const auto output = network(true).forward();
  for (double x : output.heads) EXPECT_EQ(x, 0.0);
  for (double x : output.values) EXPECT_EQ(x, 0.0);
}

}  // namespace
}  // namespace triseg
