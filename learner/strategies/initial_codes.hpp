// Where a search starts: tmax, initial codes, the optimum of the histogram, and the state of each site.
#pragma once

#include "core/codes.hpp"
#include "core/histogram.hpp"
#include "network/quantized_network.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace triseg {

enum class TmaxMode { percentile, fixed, search };

/// How tmax follows from a site's histogram.
struct TmaxRule {
  TmaxMode mode = TmaxMode::percentile;
  double percentile = 90.0;  ///< of the non-zero codes
  int offset = 10;           ///< added to the percentile's code
  int fixed = 127;

  /// percentile, and where search starts: the percentile's code + offset, at least 15, at most 255; fixed: the fixed
  /// value.
  int tmax(const Histogram& histogram) const;
  /// "p90+10" or "fixed": how log lines name the rule.
  std::string label() const;
};

/// tmax * {1, 2, 3, 4} / 5 in integers for t1, v1, t2, v2 (35 -> 7, 14, 21, 28), moved up where a small tmax would make
/// them illegal. tmax >= smallest_tmax.
Codes initial_codes(int tmax);

/// The summed squared error of the staircase over the histogram, in squared codes. Exact.
std::int64_t squared_error(const Histogram& histogram, const Codes& codes);

/// The legal codes with the least squared_error for this tmax; of equal ones the smallest (t1, t2, v1, v2). Exact:
/// every t1 and t2 are tried, and v1 and v2 are the rounded means of their segments, from prefix sums; O(tmax^2).
Codes mse_optimum(const Histogram& histogram, int tmax);

/// How much more the mean of a site's error weighs than its spread, to the convolutions that take up its codes
/// (readings()): with their weights w_ci on its elements (output channel c, input element i) times their multipliers,
/// and errors of mean b and variance v at all elements alike, the mean square error of an accumulator is
/// b^2 (sum_i w_ci)^2 + v sum_i w_ci^2, where averages over n elements in between make v n times smaller. This is the
/// ratio of the two sums, each averaged over all channels of all of them; 1 or more, and 1 where none takes them up.
/// site: number of a node; sites: of all sites, behind which other codes are taken up.
double mean_weight(const QuantizedNetwork& network, std::size_t site, std::span<const std::size_t> sites);

/// The legal codes of the least v + weight * b^2, b and v the mean and variance of the error f(q) - q over the
/// histogram: 1 is mse_optimum's sum. Exact but for rounding in double: every t1, t2 and v1 that can come below the
/// best so far are tried, v2 is the rounded optimum given them. weight >= 1.
Codes balanced_optimum(const Histogram& histogram, int tmax, double weight);

/// [index / (sites - 1), mean / 255, standard deviation / 128, p90 of the non-zero codes / 255].
std::array<double, 4> site_state(const Histogram& histogram, std::size_t index, std::size_t sites);

}  // namespace triseg
