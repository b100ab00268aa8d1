// The terms of a score that one image contributes, in double and in a fixed order, as worker/distillation.hpp defines
// them. CPU and GPU run these same lines, so their scores are equal to the bit.
#pragma once

#include "core/reproducible.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>

namespace triseg {

/// The class with the highest logit, the lowest of equal ones. codes: (classes)
TRISEG_HOST_DEVICE inline int highest_logit(const std::uint8_t* codes, int classes) {
  int best = 0;
  for (int k = 1; k < classes; ++k)
    if (codes[k] > codes[best]) best = k;
  return best;
}

/// The softmax of one image's logits over a temperature, log p_k = scale (q_k - largest) - log_sum. The zero point of
/// the codes cancels in it.
struct LogSoftmax {
  int largest = 0;
  double log_sum = 0;

  TRISEG_HOST_DEVICE double log_probability(std::uint8_t code, double scale) const {
    return scale * (int(code) - largest) - log_sum;
  }
};

/// codes: (classes); scale: of a logit code, over the temperature.
TRISEG_HOST_DEVICE inline LogSoftmax log_softmax(const std::uint8_t* codes, int classes, double scale) {
  LogSoftmax result;
  for (int k = 0; k < classes; ++k)
    if (codes[k] > result.largest) result.largest = codes[k];
  double sum = 0;
  for (int k = 0; k < classes; ++k) sum += reproducible_exp(scale * (int(codes[k]) - result.largest));
  result.log_sum = reproducible_log(sum);
  return result;
}

/// Below this logit scale over temperature, codes 255 apart are less than a nat apart: no probability is far from the
/// others.
constexpr double flat_scale = 1.0 / 256;

namespace distillation {

/// exp(x) - 1 - x for |x| <= 2, to a few units in the last place: Taylor's series from x^2 / 2 on.
TRISEG_HOST_DEVICE inline double exponential_excess(double x) {
  double sum = 0;
  for (int n = 26; n >= 3; --n) sum = (sum + 1) * x / n;
  return (sum + 1) * x * x / 2;
}

/// log(1 + x) for x >= 0 to a few units in the last place; the factor makes good what 1 + x rounds away.
TRISEG_HOST_DEVICE inline double log_one_plus(double x) {
  const double sum = 1 + x;
  return sum == 1 ? x : reproducible_log(sum) * (x / (sum - 1));
}

}  // namespace distillation

/// KL(teacher || student) of one image [nats]: the sum of p log(p / s); or, where probabilities are nearly equal and
/// the logarithms cancel (flat_scale), with the student's logit less the teacher's, d, and e its deviation from the
/// mean under p, log(1 + sum p (exp(e) - 1 - e)), all terms of one sign. p: the teacher's softmax.
TRISEG_HOST_DEVICE inline double divergence(const std::uint8_t* teacher, const LogSoftmax& p,
                                            const std::uint8_t* student, int classes, double scale) {
  double sum = 0;
  if (scale >= flat_scale) {
    const LogSoftmax s = log_softmax(student, classes, scale);
    for (int k = 0; k < classes; ++k) {
      const double log_p = p.log_probability(teacher[k], scale);
      sum += reproducible_exp(log_p) * (log_p - s.log_probability(student[k], scale));
    }
    return sum;
  }
  double mean = 0;
  for (int k = 0; k < classes; ++k)
    mean += reproducible_exp(p.log_probability(teacher[k], scale)) * (scale * (int(student[k]) - int(teacher[k])));
  for (int k = 0; k < classes; ++k)
    sum += reproducible_exp(p.log_probability(teacher[k], scale)) *
           distillation::exponential_excess(scale * (int(student[k]) - int(teacher[k])) - mean);
  return distillation::log_one_plus(sum);
}

/// `sum` and the squares of a map, or of a part of it, added to it one position after the other.
TRISEG_HOST_DEVICE inline double add_squares(double sum, const std::uint32_t* map, std::size_t positions) {
  for (std::size_t p = 0; p < positions; ++p) sum += double(map[p]) * double(map[p]);
  return sum;
}

/// 1 / L2 norm of a map with this sum of squares, or 0 for a map of zeros.
TRISEG_HOST_DEVICE inline double inverse_norm(double squares) { return squares > 0 ? 1.0 / std::sqrt(squares) : 0.0; }

/// `sum` and the squared L2 distance of two maps of unit norm, or of a part of them, each given with its inverse norm,
/// added to it one position after the other.
TRISEG_HOST_DEVICE inline double add_map_distance(double sum, const std::uint32_t* teacher, double teacher_factor,
                                                  const std::uint32_t* student, double student_factor,
                                                  std::size_t positions) {
  for (std::size_t p = 0; p < positions; ++p) {
    const double d = double(student[p]) * student_factor - double(teacher[p]) * teacher_factor;
    sum += d * d;
  }
  return sum;
}

}  // namespace triseg
