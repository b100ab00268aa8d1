// The policy's network and its optimizer, with every tensor open to the checkpoint. Private to learner/ (needs LibTorch:
// include torch/torch.h before this header).
#pragma once

#include "learner/run_data.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace at {
class Tensor;
}

namespace triseg {

/// Encoder 4 -> 64 -> 64 (tanh), four heads of 256 logits, a critic head. Initial weights are uniform in
/// +-1/sqrt(fan_in), drawn from (seed, initial_weights); `zero_heads` starts the heads' logits at zero.
class PolicyNetwork {
 public:
  PolicyNetwork(std::uint64_t seed, bool zero_heads);
  ~PolicyNetwork();

  /// states (L, 4) -> head outputs (L, 4, 256) and values (L).
  std::pair<at::Tensor, at::Tensor> forward(const at::Tensor& states) const;

  /// One step of Adam (Kingma, Ba 2015, arXiv:1412.6980; beta 0.9, 0.999, epsilon 1e-8) down the gradient of `loss`.
  void step(const at::Tensor& loss, double learning_rate);

  /// Parameters as policy/<name>, moments as adam_m/<name> and adam_v/<name>, and the step count.
  void save(Checkpoint& checkpoint) const;
  void restore(const Checkpoint& checkpoint);

 private:
  struct Parameter;
  std::vector<Parameter> parameters_;
  std::uint64_t steps_ = 0;
};

}  // namespace triseg
