#include "learner/strategies/initial_codes.hpp"

#include "core/error.hpp"
#include "network/readings.hpp"

#include <algorithm>
#include <cmath>
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
  for (int q = 0; q < 256; ++q)
    error += static_cast<std::int64_t>(histogram.counts[q]) * (table[q] - q) * (table[q] - q);
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

double mean_weight(const QuantizedNetwork& network, std::size_t site, std::span<const std::size_t> sites) {
  const Network& n = network.network;
  const int site_channels = n.nodes[site].shape.channels;
  double of_mean = 0, of_spread = 0;
  for (const Reading& reading : readings(n, site, sites)) {
    const Node& reader = n.nodes[reading.node];
    const QuantizedNode& numbers = network.nodes[reading.node];
    const int window = reader.window.height * reader.window.width;
    const int group_in = n.input_shape(reader).channels / reader.groups,
              group_out = reader.shape.channels / reader.groups;
    for (int c = 0; c < reader.shape.channels; ++c) {
      // The channels of its group that are the site's.
      const int group = c / group_out * group_in;
      const int first = std::max(reading.channel - group, 0);
      const int end = std::min(reading.channel + site_channels - group, group_in);
      const std::size_t row = std::size_t(c) * group_in * window;
      std::int64_t sum = 0, squares = 0;
      for (int i = first * window; i < end * window; ++i) {
        const std::int64_t w = numbers.weights[row + i];
        sum += w;
        squares += w * w;
      }
      const double m = numbers.requantization.multiplier[c];
      of_mean += m * m * double(sum) * double(sum);
      of_spread += m * m * double(squares) / reading.averaged;
    }
  }
  return of_spread > 0 ? std::max(1.0, of_mean / of_spread) : 1.0;
}

Codes balanced_optimum(const Histogram& histogram, int tmax, double weight) {
  const PrefixSums sums(histogram);
  const double k = (weight - 1) / double(std::max<std::uint64_t>(1, histogram.total()));
  const double whole = double(sums.sum[tmax + 1]), square = double(sums.square[tmax + 1]);
  double least = std::numeric_limits<double>::infinity();
  Codes best = initial_codes(tmax);
  for (int t1 = 1; t1 <= tmax - 2; ++t1) {
    for (int t2 = t1 + 1; t2 <= tmax - 1; ++t2) {
      const double n1 = double(sums.count[t2 + 1] - sums.count[t1 + 1]),
                   s1 = double(sums.sum[t2 + 1] - sums.sum[t1 + 1]);
      const double n2 = double(sums.count[tmax + 1] - sums.count[t2 + 1]),
                   s2 = double(sums.sum[tmax + 1] - sums.sum[t2 + 1]);
      const auto error = [&](double v1, double v2) {
        const double shift = n1 * v1 + n2 * v2 - whole;
        return square + (n1 * v1 - 2 * s1) * v1 + (n2 * v2 - 2 * s2) * v2 + k * shift * shift;
      };
      // It is least where its two derivatives vanish. Divided by n1 and n2 they are v1 + k e = s1 / n1 and v2 + k e =
      // s2 / n2, with e = n1 v1 + n2 v2 - whole. No codes of this t1 and t2 come below that.
      const double mean1 = n1 > 0 ? s1 / n1 : t1 + 1, mean2 = n2 > 0 ? s2 / n2 : t2 + 1;
      const double e = (n1 * mean1 + n2 * mean2 - whole) / (1 + k * (n1 + n2));
      if (error(mean1 - k * e, mean2 - k * e) >= least) continue;
      for (int v1 = t1 + 1; v1 <= t2; ++v1) {
        const double v2_real =
            n2 > 0 ? std::clamp<double>((mean2 - k * (n1 * v1 - whole)) / (1 + k * n2), t2 + 1, tmax) : t2 + 1;
        for (const double v2 : {std::floor(v2_real), std::ceil(v2_real)}) {
          if (error(v1, v2) >= least) continue;
          least = error(v1, v2);
          const auto code = [](auto x) { return static_cast<std::uint8_t>(x); };
          best = {code(t1), code(v1), code(t2), code(v2), code(tmax)};
        }
      }
    }
  }
  return best;
}

std::array<double, 4> site_state(const Histogram& histogram, std::size_t index, std::size_t sites) {
  return {sites > 1 ? double(index) / double(sites - 1) : 0.0, histogram.mean() / 255.0,
          histogram.standard_deviation() / 128.0, histogram.nonzero_percentile(90.0) / 255.0};
}

}  // namespace triseg
