// exp, log and integer powers in double that give the same bits everywhere. A C library's own differ from version to
// version and, with and without fused multiply-adds, from processor to processor; every number of a run depends on
// them.
#pragma once

#include <cstdint>

namespace triseg {

/// e^x to about one unit in the last place; 0 below -745.2, infinity above 709.8, NaN for NaN.
/// x = k ln 2 + r with |r| <= ln 2 / 2, and Taylor's series for r.
double reproducible_exp(double x);

/// The natural logarithm of x > 0 to about one unit in the last place; -infinity for 0, NaN below.
/// x = m 2^e with m in [1/sqrt 2, sqrt 2), and the series of 2 artanh((m - 1) / (m + 1)).
double reproducible_log(double x);

/// 1 - 2 / (e^(2x) + 1): tanh to a few units in the last place of 1 (absolute, not relative, near 0).
double reproducible_tanh(double x);

/// base^exponent by repeated squaring.
double reproducible_power(double base, std::uint64_t exponent);

}  // namespace triseg
