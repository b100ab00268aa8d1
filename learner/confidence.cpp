#include "learner/confidence.hpp"

#include <cmath>

namespace triseg {
namespace {
constexpr double z = 1.959963984540054;  // 97.5 % quantile of the normal distribution
}

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
  const double drop = 100 * (b - c) / n, half = 100 * z * std::sqrt(b + c - (b - c) * (b - c) / n) / n;
  return {drop - half, drop + half};
}

}  // namespace triseg
