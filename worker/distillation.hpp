// Scores from forward results: knowledge-distillation and attention-transfer terms, in double, in a fixed order.
#pragma once

#include "core/score.hpp"
#include "worker/engine.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace triseg {

/// The teacher's side of every comparison on one image batch, computed once.
class TeacherTarget {
 public:
  /// `result` is the teacher's forward on the images with these labels; `temperature` > 0.
  TeacherTarget(const QuantizedNetwork& network, const ForwardResult& result, std::span<const std::uint16_t> labels,
                double temperature);

  /// The student's score against the teacher on the same images.
  ///   KD: T^2 * KL(teacher || student) of the softmax of real logits / T (Hinton, Vinyals, Dean 2015,
  ///   arXiv:1503.02531). Its error is at most 1e-9 of it, and below temperatures of 256 logit scales 1e-10 squared
  ///   logit scales more.
  ///   Attention: per layer, the map (sum over channels of squares) over its L2 norm, squared L2 distance between
  ///   student and teacher, mean over layers (Zagoruyko, Komodakis 2017, arXiv:1612.03928). A map of zeros stays zero.
  Score score(const ForwardResult& student) const;

 private:
  std::vector<double> log_probabilities(std::span<const std::uint8_t> logit_codes) const;  // (images, classes)
  /// KL(teacher || student) of one image by p log(p / s), given the student's log s (classes).
  double divergence(std::size_t image, std::span<const double> log_s) const;
  /// The same for probabilities that are nearly equal, where the logarithms cancel: with the student's logit less the
  /// teacher's, d, and e its deviation from the mean under p, KL = log(1 + sum p (exp(e) - 1 - e)), all terms of one
  /// sign.
  double flat_divergence(std::size_t image, std::span<const std::uint8_t> student_codes) const;

  int classes_;
  double scale_over_temperature_;
  double temperature_;
  std::vector<std::uint8_t> codes_;             // (images, classes): logits
  std::vector<std::uint16_t> labels_;           // (images)
  std::vector<std::uint8_t> right_;             // (images): 1 if the teacher is right
  std::vector<double> log_p_;                   // (images, classes)
  std::vector<std::vector<double>> attention_;  // (attention layers)(images, positions), each row of unit L2 norm
};

/// The class with the highest logit, the lowest of equal ones.
int predicted_class(std::span<const std::uint8_t> logit_codes);

}  // namespace triseg
