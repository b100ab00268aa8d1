// Scores from forward results: knowledge-distillation and attention-transfer terms, in double, in a fixed order.
#pragma once

#include "core/score.hpp"
#include "worker/distillation_terms.hpp"
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
  int classes_;
  double scale_over_temperature_;
  double temperature_;
  OwnedForwardResult teacher_;
  std::vector<std::uint16_t> labels_;         // (images)
  std::vector<std::uint8_t> right_;           // (images): 1 if the teacher is right
  std::vector<LogSoftmax> softmax_;           // (images)
  std::vector<std::vector<double>> factors_;  // (attention layers)(images): inverse norms of the maps
};

}  // namespace triseg
