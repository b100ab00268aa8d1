// A student on LibTorch's tensors, whose forward computes the INT8 network's codes in float32 and has gradients. For
// .cpp files of this folder alone.
#pragma once

#include "network/problem.hpp"
#include "trainer/torch_support.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace triseg {

class Values;  // trainer/float_operations.hpp

/// value, with the gradient that `gradient` times that of x has.
torch::Tensor straight_through(const torch::Tensor& value, const torch::Tensor& x, const torch::Tensor& gradient);

template <class T>
torch::Tensor floats(const std::vector<T>& values) {
  return torch::tensor(std::vector<float>(values.begin(), values.end()));
}

/// A node of a teacher and its student. Bias to start_multiplier: of convolutions.
struct StudentNode {
  torch::Tensor weight;                        // codes: weight_shape()
  torch::Tensor bias, multiplier;              // the model's own (out)
  torch::Tensor start_bias, start_multiplier;  // the student's (out)
  torch::Tensor factor;                        // average: (height, width); multiply: (1)
  std::vector<torch::Tensor> maps;             // table, concatenate: (256) codes less the zero point
  torch::Tensor slopes;                        // table: (256) its gradient
  torch::Tensor constant;                      // (1, channels, height, width) codes less the zero point
};

/// Rounding has a straight-through gradient of 1 (Bengio et al. 2013, arXiv:1308.3432). The gradient of a table of the
/// network itself is half of the step over the neighbours of a code. Not thread-safe.
class StudentNetwork {
 public:
  /// start: the repair of the student, empty: the model's own requantization. pool_first: nodes are pooled by a maximum
  /// that alone reads them before they are rounded, all but sites' maxima and, where maps are wanted, attention layers.
  /// device: as choose_device takes it.
  StudentNetwork(const Problem& problem, const Repair& start, bool maps_wanted, const std::string& device);
  virtual ~StudentNetwork() = default;

  const QuantizedNetwork& model() const { return problem_.model; }
  const Network& network() const { return problem_.network(); }
  const Requantization& at_start(std::size_t i) const {
    return i < start_.size() && start_[i] ? *start_[i] : model().nodes[i].requantization;
  }
  torch::Device device() const { return device_; }

  /// Pixels (N, channels, height, width) as fit_image makes them, as the input's codes less its zero point.
  torch::Tensor images(std::span<const std::uint8_t> pixels) const;

  /// Real logits, of the teacher or of the student. maps: the attention maps (attention layers)(N, positions), sums
  /// over channels of squared codes, if not null.
  torch::Tensor forward(torch::Tensor image, bool student, std::vector<torch::Tensor>* maps = nullptr);

 protected:
  const Problem problem_;
  const Repair start_;

 private:
  /// Of the student: what becomes of a convolution's outputs behind the requantization at the start.
  virtual torch::Tensor requantized(std::size_t node, torch::Tensor x) const;
  /// Of the student: looks at a site's outputs before rounding and pooling.
  virtual void observe_outputs(std::size_t node, const torch::Tensor& x);
  /// Of the student: a site's codes behind its staircase.
  virtual torch::Tensor staircase_of(std::size_t node, const torch::Tensor& x) const = 0;

  void make_convolution(std::size_t i, StudentNode& made) const;
  void make_operation(std::size_t i, StudentNode& made) const;
  torch::Tensor compute(std::size_t i, const Values& values, bool student) const;
  torch::Tensor codes(int value, const torch::Tensor& x) const;
  torch::Tensor sum(std::size_t i, const torch::Tensor& a, const torch::Tensor& b) const;
  torch::Tensor rescaled(std::size_t i, std::size_t k, const torch::Tensor& x) const;

  torch::Device device_;
  std::vector<int> pooled_;  // (nodes): pooled_by()
  std::vector<StudentNode> nodes_;
  PixelValues pixel_values_;  // (input channels): the input code of a pixel byte less the zero point
};

}  // namespace triseg
