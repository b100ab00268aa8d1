#include "core/reproducible.hpp"

#include <array>
#include <cmath>
#include <limits>

namespace triseg {
namespace {

/// ln 2 in two parts; the first has 21 zero bits at its end, so that its product with a small integer is exact.
constexpr double ln2_high = 0x1.62e42fee00000p-1, ln2_low = 0x1.a39ef35793c76p-33;

constexpr std::array<double, 15> inverse_factorials = [] {
  std::array<double, 15> result{};
  double factorial = 1;
  for (int i = 0; i < 15; ++i) {
    if (i > 0) factorial *= i;
    result[i] = 1 / factorial;
  }
  return result;
}();

}  // namespace

double reproducible_exp(double x) {
  if (std::isnan(x)) return x;
  if (x > 709.782712893384) return std::numeric_limits<double>::infinity();
  if (x < -745.2) return 0.0;
  const double k = std::nearbyint(x / (ln2_high + ln2_low));
  const double r = x - k * ln2_high - k * ln2_low;
  double sum = 0.0;
  for (int i = 14; i >= 0; --i) sum = sum * r + inverse_factorials[i];
  return std::ldexp(sum, static_cast<int>(k));
}

double reproducible_log(double x) {
  if (std::isnan(x) || x < 0) return std::numeric_limits<double>::quiet_NaN();
  if (x == 0) return -std::numeric_limits<double>::infinity();
  if (std::isinf(x)) return x;
  int exponent = 0;
  double m = std::frexp(x, &exponent);  // [0.5, 1)
  if (m < 0.70710678118654752) {
    m *= 2;
    --exponent;
  }
  const double f = (m - 1) / (m + 1), square = f * f;
  double sum = 0.0;
  for (int i = 25; i >= 3; i -= 2) sum = (sum + 1.0 / i) * square;
  const double e = exponent;
  return e * ln2_high + (2 * f * sum + e * ln2_low + 2 * f);
}

double reproducible_tanh(double x) { return 1.0 - 2.0 / (reproducible_exp(2.0 * x) + 1.0); }

double reproducible_power(double base, std::uint64_t exponent) {
  double result = 1.0;
  for (; exponent > 0; exponent >>= 1) {
    if (exponent & 1) result *= base;
    base *= base;
  }
  return result;
}

}  // namespace triseg
