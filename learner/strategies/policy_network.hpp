// The policy's network and its optimizer, in plain loops: L rows of 4 numbers are too little work for a library, and so
// its results depend on no processor, thread count or library version. Every tensor is open to the checkpoint.
#pragma once

#include "learner/run_data.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace triseg {

/// Encoder 4 -> 64 -> 64 (tanh), heads of 256 logits, a critic head. Parameters are float32, sums are in double and in
/// a fixed order. Initial weights are uniform in +-1/sqrt(fan_in), drawn from (seed, initial_weights).
class PolicyNetwork {
 public:
  static constexpr std::size_t inputs = 4, hidden = 64, codes = 256;

  /// What the network says of every state, or the gradient of a loss by that.
  struct Output {
    std::vector<double> heads;   // (L, heads, columns)
    std::vector<double> values;  // (L)
  };
  /// The same with the outputs of both layers of the encoder, from which gradients are computed.
  struct Forward : Output {
    std::vector<double> first, second;  // (L, hidden)
  };

  /// states: (L). `heads`: how many; 0 leaves the critic alone. Only codes 0 .. columns - 1 of the heads are computed
  /// and learned. `zero_heads` starts the heads, the critic's too, at zero.
  PolicyNetwork(std::vector<std::array<double, inputs>> states, std::size_t heads, std::size_t columns,
                std::uint64_t seed, bool zero_heads);

  Forward forward() const;

  /// One step of Adam (Kingma, Ba 2015, arXiv:1412.6980; beta 0.9, 0.999, epsilon 1e-8) down a loss with this gradient.
  /// at: the forward() of the present parameters.
  void step(const Forward& at, const Output& gradient, double learning_rate);

  /// Parameters as policy/<name>, moments as adam_m/<name> and adam_v/<name>, and the step count.
  void save(Checkpoint& checkpoint) const;
  /// Throws Error naming a tensor that is missing or of another shape.
  void restore(const Checkpoint& checkpoint);

 private:
  struct Parameter {
    std::string name;
    std::vector<std::uint64_t> shape;
    std::vector<float> value, first_moment, second_moment;
  };
  /// A layer y = W x + b by the index of W among the parameters; b follows it. W is (outputs, fan_in).
  struct Linear {
    std::size_t weight, fan_in;
  };
  static constexpr Linear encoder1{0, inputs}, encoder2{2, hidden}, heads_layer{4, hidden}, critic{6, hidden};
  using Rows = std::vector<double>;  // (L, features)

  std::size_t rows() const { return states_.size() / inputs; }
  /// Output o of the result is output outputs[o] of the layer.
  Rows linear(const Linear& layer, const Rows& x, const std::vector<std::size_t>& outputs) const;
  /// Adds to `gradients` those of the layer's parameters, given dy, and returns the gradient by x.
  Rows linear_backward(const Linear& layer, const Rows& x, const Rows& dy, const std::vector<std::size_t>& outputs,
                       std::vector<std::vector<double>>& gradients) const;

  Rows states_;                              // (L, 4)
  std::vector<std::size_t> hidden_outputs_;  // 0 .. hidden - 1
  std::vector<std::size_t> head_outputs_;    // of heads_layer: those of codes below columns
  std::vector<Parameter> parameters_;
  std::uint64_t steps_ = 0;
};

}  // namespace triseg
