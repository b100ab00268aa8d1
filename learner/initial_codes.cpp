#include "learner/initial_codes.hpp"

#include "core/error.hpp"

#include <algorithm>
#include <limits>

namespace triseg {
namespace {

/// Prefix sums of a histogram: counts, codes, and squared codes over 0..q-1.
struct PrefixSums {
  std::array<std::int64_t, 257> count{}, sum{}, square{};

  explicit PrefixSums(const Histogram& h) {
    for (int q = 0; q < 256; ++q) {
      const auto n = static_cast<std::int64_t>(h.counts[q]);
      count[q + 1] = count[q] + n;
      sum[q + 1] = sum[q] + n * q;
      square[q + 1] = square[q] + n * q * q;
    }
  }

  /// Squared error of mapping the codes first..last to v.
  std::int64_t error(int first, int last, int v) const {
    const auto n = count[last + 1] - count[first], s = sum[last + 1] - sum[first];
    return square[last + 1] - square[first] - 2 * v * s + v * v * n;
  }

  /// The code in first..last nearest to their mean (the lower of two equally near; the first if they are all empty).
  int best_value(int first, int last) const {
    const auto n = count[last + 1] - count[first], s = sum[last + 1] - sum[first];
    return n == 0 ? first : static_cast<int>((2 * s + n - 1) / (2 * n));
  }
};

}  // namespace

int TmaxRule::tmax(const Histogram& histogram) const {
  if (mode == TmaxMode::fixed) return fixed;
  return std::clamp(histogram.nonzero_percentile(percentile) + offset, 15, 255);
}

std::string TmaxRule::label() const {
  return mode == TmaxMode::fixed ? "fixed" : fmt::format("p{:g}{:+d}", percentile, offset);
}

Codes initial_codes(int tmax) {
  const auto at = [&](int part) { return tmax * part / 5; };
  const int t1 = std::max(at(1), 1);
  const int v1 = std::max(at(2), t1 + 1);
  const int t2 = std::max(at(3), v1);
  const int v2 = std::max(at(4), t2 + 1);
  const auto code = [](int x) { return static_cast<std::uint8_t>(x); };
  return {code(t1), code(v1), code(t2), code(v2), code(tmax)};
}

std::int64_t squared_error(const Histogram& histogram, const Codes& c) {
  const Table table = staircase(c);
  std::int64_t error = 0;
  for (int q = 0; q < 256; ++q) error += static_cast<std::int64_t>(histogram.counts[q]) * (table[q] - q) * (table[q] - q);
  return error;
}

Codes mse_optimum(const Histogram& histogram, int tmax) {
  const PrefixSums sums(histogram);
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  Codes best;
  for (int t1 = 1; t1 <= tmax - 2; ++t1) {
    for (int t2 = t1 + 1; t2 <= tmax - 1; ++t2) {
      const int v1 = sums.best_value(t1 + 1, t2), v2 = sums.best_value(t2 + 1, tmax);
      const std::int64_t error = sums.error(0, t1, 0) + sums.error(t1 + 1, t2, v1) + sums.error(t2 + 1, tmax, v2);
      if (error < least) {
        least = error;
        const auto code = [](int x) { return static_cast<std::uint8_t>(x); };
        best = {code(t1), code(v1), code(t2), code(v2), code(tmax)};
      }
    }
  }
  return best;
}

std::array<double, 4> site_state(const Histogram& histogram, std::size_t index, std::size_t sites) {
  return {sites > 1 ? double(index) / double(sites - 1) : 0.0, histogram.mean() / 255.0, histogram.standard_deviation() / 128.0,
          histogram.nonzero_percentile(90.0) / 255.0};
}

}  // namespace triseg
