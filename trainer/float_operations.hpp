// Operations of a graph on LibTorch's tensors, which training and repair share. For .cpp files of this folder alone.
#pragma once

#include "network/network.hpp"
#include "trainer/torch_support.hpp"

#include <cstddef>
#include <vector>

namespace triseg {

/// The value of a fully connected layer is (N, C), every other one is (N, C, H, W). Here (N, C) becomes (N, C, 1, 1).
torch::Tensor as_planes(const torch::Tensor& x);

/// A convolution or a fully connected layer. weight: (out, in / groups, height, width), of a fully connected layer
/// (out, fan-in). bias: (out) or undefined. Padding is 0.
torch::Tensor convolve(const Network& network, const Node& node, const torch::Tensor& x, const torch::Tensor& weight,
                       const torch::Tensor& bias);

/// The shape of such a weight: of a convolution four sizes, of a fully connected layer two.
std::vector<std::int64_t> weight_shape(const Network& network, const Node& node);

/// A tensor of one number a channel as convolve()'s results take it.
torch::Tensor per_channel(const Network& network, const Node& node, const torch::Tensor& t);

/// The largest of each window; padding never is.
torch::Tensor pool_maximum(const Network& network, const Node& node, const torch::Tensor& x);

/// The sum over each window, where padding is 0.
torch::Tensor pool_sum(const Network& network, const Node& node, const torch::Tensor& x);

/// How many positions an average divides each sum by: (height * width) of its value.
std::vector<int> window_counts(const Network& network, const Node& node);

/// The nodes in front of a maximum that alone reads them, by the number of that maximum, -1 elsewhere: (nodes).
/// Max-pooling commutes with what is monotone - ReLU, rounding, staircases - so that pooled first, they have less to
/// do.
std::vector<int> pooled_by(const Network& network);

/// Values of a forward, each kept until its last reader has it.
class Values {
 public:
  Values(const Network& network, torch::Tensor image);

  const torch::Tensor& operator[](int value) const { return values_[value + 1]; }
  void set(std::size_t node, torch::Tensor x) { values_[node + 1] = std::move(x); }
  /// Images of the batch.
  std::int64_t batch() const { return batch_; }
  /// A node has read its inputs.
  void done(const Node& node);

 private:
  std::int64_t batch_;
  std::vector<torch::Tensor> values_;  // by number + 1
  std::vector<int> readers_;           // left, by number + 1
};

}  // namespace triseg
