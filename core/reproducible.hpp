// exp, log and integer powers in double that give the same bits everywhere, on GPUs too. A C library's own differ from
// version to version and, with and without fused multiply-adds, from processor to processor; every number of a run
// depends on them. They are in the header so that loops over them are compiled as one and nvcc sees them.
#pragma once

#include "core/host_device.hpp"

#include <cmath>
#include <cstdint>
#include <cstring>

namespace triseg {

namespace reproducible {

/// ln 2 in two parts; the first has 21 zero bits at its end, so that its product with a small integer is exact.
constexpr double ln2_high = 0x1.62e42fee00000p-1, ln2_low = 0x1.a39ef35793c76p-33;

/// 2^n for -1022 <= n <= 1023.
TRISEG_HOST_DEVICE inline double power_of_two(std::int64_t n) {
  const std::int64_t bits = (n + 1023) << 52;
  double result;
  std::memcpy(&result, &bits, sizeof(result));
  return result;
}

}  // namespace reproducible

/// e^x to about one unit in the last place; 0 below -745.2, infinity above 709.8, NaN for NaN.
/// x = k ln 2 + r with |r| <= ln 2 / 2, and Taylor's series for r.
TRISEG_HOST_DEVICE inline double reproducible_exp(double x) {
  using namespace reproducible;
  if (!(x <= 709.782712893384)) return x > 0 ? HUGE_VAL : x;
  if (x < -745.2) return 0;
  constexpr double to_integer = 0x1.8p52;  // the sum has no bits behind the point: rounded to nearest, ties to even
  const double k = (x / (ln2_high + ln2_low) + to_integer) - to_integer;
  const double r = x - k * ln2_high - k * ln2_low;
  double sum = 1.0 / 87178291200;
  sum = sum * r + 1.0 / 6227020800;
  sum = sum * r + 1.0 / 479001600;
  sum = sum * r + 1.0 / 39916800;
  sum = sum * r + 1.0 / 3628800;
  sum = sum * r + 1.0 / 362880;
  sum = sum * r + 1.0 / 40320;
  sum = sum * r + 1.0 / 5040;
  sum = sum * r + 1.0 / 720;
  sum = sum * r + 1.0 / 120;
  sum = sum * r + 1.0 / 24;
  sum = sum * r + 1.0 / 6;
  sum = sum * r + 1.0 / 2;
  sum = sum * r + 1;
  sum = sum * r + 1;
  // In two steps, of which only the last can leave the normal numbers and round.
  const std::int64_t n = static_cast<std::int64_t>(k), half = n / 2;
  return sum * power_of_two(half) * power_of_two(n - half);
}

/// The natural logarithm of x > 0 to about one unit in the last place; -infinity for 0, NaN below.
/// x = m 2^e with m in [1/sqrt 2, sqrt 2), and the series of 2 artanh((m - 1) / (m + 1)).
TRISEG_HOST_DEVICE inline double reproducible_log(double x) {
  using namespace reproducible;
  if (!(x >= 0)) return NAN;
  if (x == 0) return -HUGE_VAL;
  if (x == HUGE_VAL) return x;
  int exponent = 0;
  double m = frexp(x, &exponent);  // [0.5, 1)
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

/// 1 - 2 / (e^(2x) + 1): tanh to a few units in the last place of 1 (absolute, not relative, near 0).
TRISEG_HOST_DEVICE inline double reproducible_tanh(double x) { return 1.0 - 2.0 / (reproducible_exp(2.0 * x) + 1.0); }

/// base^exponent by repeated squaring.
TRISEG_HOST_DEVICE inline double reproducible_power(double base, std::uint64_t exponent) {
  double result = 1.0;
  for (; exponent > 0; exponent >>= 1) {
    if (exponent & 1) result *= base;
    base *= base;
  }
  return result;
}

}  // namespace triseg
