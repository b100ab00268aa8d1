#include "learner/judging/confidence.hpp"

#include "core/reproducible.hpp"

#include <algorithm>
#include <numbers>
#include <limits>
#include <cmath>

namespace triseg {
namespace {

constexpr double z = 1.959963984540054;  // 97.5 % quantile of the normal distribution

/// The variance of b - c in n images if the drop, a share, is true.
double variance_of_disagreement(double n, double b, double c, double drop) {
  // The larger root of 2 n q^2 + linear q - c drop (1 - drop) = 0, which the likelihood's derivative makes.
  const double linear = (2 * n - b + c) * drop - b - c;
  const double q = (std::sqrt(std::max(0.0, linear * linear + 8 * n * c * drop * (1 - drop))) - linear) / (4 * n);
  return n * std::max(0.0, 2 * q + drop * (1 - drop));
}

/// Tango's upper bound of the drop, a share of the n images. The lower one is less the upper one with b and c
/// exchanged.
double largest_drop(double n, double b, double c) {
  const auto within = [&](double drop) {
    const double excess = n * drop - (b - c);
    return excess * excess < z * z * variance_of_disagreement(n, b, c, drop);
  };
  double low = (b - c) / n, high = 1;
  for (int i = 0; i < 64; ++i) {
    const double middle = low + (high - low) / 2;
    (within(middle) ? low : high) = middle;
  }
  return high;
}

}  // namespace

Interval wilson_95(std::uint64_t right, std::uint64_t images) {
  if (images == 0) return {};
  const double n = double(images), p = double(right) / n;
  const double centre = p + z * z / (2 * n), half = z * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  const double scale = 100 / (1 + z * z / n);
  return {right == 0 ? 0 : scale * (centre - half), right == images ? 100 : scale * (centre + half)};
}

Interval drop_95(const Score& s) {
  if (s.images == 0) return {};
  const double n = double(s.images), b = double(s.teacher_only), c = double(s.student_only);
  return {-100 * largest_drop(n, c, b), 100 * largest_drop(n, b, c)};
}

double drop_statistic(const Score& s, double drop) {
  const double n = double(s.images), b = double(s.teacher_only), c = double(s.student_only);
  const double excess = b - c - n * drop / 100;
  return excess == 0 ? 0 : excess / std::sqrt(variance_of_disagreement(n, b, c, drop / 100));
}

double mcnemar_p(const Score& s) {
  const std::uint64_t n = s.teacher_only + s.student_only, fewer = std::min(s.teacher_only, s.student_only);
  double log_term = -double(n) * reproducible_log(2.0), tail = 0;  // of C(n, k) / 2^n, whose value would underflow
  for (std::uint64_t k = 0; k <= fewer; ++k) {
    tail += reproducible_exp(log_term);
    log_term += reproducible_log(double(n - k) / double(k + 1));
  }
  return std::min(1.0, 2 * tail);
}

double student_t_975(std::uint64_t degrees) {
  const double n = double(degrees);
  // The probability between -t and t.
  const auto inside = [&](double t) {
    const double angle = std::atan(t / std::sqrt(n)), c = std::cos(angle);
    double term = degrees % 2 == 0 ? 1 : c, sum = degrees == 1 ? 0 : term;
    for (std::uint64_t k = degrees % 2 == 0 ? 2 : 3; k < degrees; k += 2) {
      term *= double(k - 1) / double(k) * c * c;
      sum += term;
    }
    return degrees % 2 == 0 ? std::sin(angle) * sum : 2 / std::numbers::pi * (angle + std::sin(angle) * sum);
  };
  double low = 0, high = 13;  // 12.71 is the largest, that of one degree
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (inside(middle) < 0.95 ? low : high) = middle;
  }
  return high;
}

double student_t_tail(double t, std::uint64_t degrees) {
  const double n = double(degrees), ratio = n / (t * t), sine = 1 / std::sqrt(1 + ratio);  // of the angle there
  const double square = t > 0 ? ratio / (1 + ratio) : 1;                                   // of its cosine
  double term = 1, sum = 1;
  for (std::uint64_t k = 2; k < degrees; k += 2) {
    term *= double(k - 1) / double(k) * square;
    sum += term;
  }
  return (1 - sine * sum) / 2;
}

MeanInterval mean_95(std::span<const double> numbers) {
  const double n = double(numbers.size());
  MeanInterval interval;
  for (const double x : numbers) interval.mean += (x - numbers.front()) / n;  // equal numbers have no width
  if (!numbers.empty()) interval.mean += numbers.front();
  if (numbers.size() < 2) return {interval.mean, std::numeric_limits<double>::quiet_NaN()};
  double squares = 0;
  for (const double x : numbers) squares += (x - interval.mean) * (x - interval.mean);
  interval.half_width = student_t_975(numbers.size() - 1) * std::sqrt(squares / (n - 1) / n);
  return interval;
}

}  // namespace triseg
