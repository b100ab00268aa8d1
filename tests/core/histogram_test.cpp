#include "core/histogram.hpp"

#include "core/philox.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace triseg {
namespace {

/// Codes like a ReLU layer's: `zeros` of ten are zero, the others fall off towards `top`.
std::vector<std::uint8_t> some_codes(std::size_t count, std::uint64_t seed, int zeros, int top) {
  std::vector<std::uint8_t> codes(count);
  for (std::size_t i = 0; i < count; ++i) {
    const double u = uniform(seed, Stream::self_test, i);
    codes[i] = uniform_below(10, seed, Stream::self_test, i, 1) < std::uint32_t(zeros) ? 0 : std::uint8_t(u * u * top);
  }
  return codes;
}

Histogram histogram_of(const std::vector<std::uint8_t>& codes) {
  Histogram h;
  h.add(codes);
  return h;
}

/// The smallest code at or below which at least `percent` % of the non-zero codes lie, from the sorted codes.
int brute_percentile(std::vector<std::uint8_t> codes, int percent) {
  std::erase(codes, 0);
  if (codes.empty()) return 0;
  std::sort(codes.begin(), codes.end());
  const std::size_t needed = (percent * codes.size() + 99) / 100;
  return codes[std::max<std::size_t>(needed, 1) - 1];
}

TEST(Histogram, CountsEveryCode) {
  const auto codes = some_codes(10007, 1, 5, 256);
  const Histogram h = histogram_of(codes);
  for (int q = 0; q < 256; ++q) EXPECT_EQ(h.counts[q], std::uint64_t(std::count(codes.begin(), codes.end(), q)));
  EXPECT_EQ(h.total(), codes.size());
}

TEST(Histogram, MeanAndStandardDeviationMatchBruteForce) {
  for (int top : {2, 40, 256}) {
    const auto codes = some_codes(5003, top, 6, top);
    const Histogram h = histogram_of(codes);
    double mean = 0, variance = 0;
    for (int q : codes) mean += q / double(codes.size());
    for (int q : codes) variance += (q - mean) * (q - mean) / double(codes.size());
    EXPECT_NEAR(h.mean(), mean, 1e-9);
    EXPECT_NEAR(h.standard_deviation(), std::sqrt(variance), 1e-9);
  }
}

TEST(Histogram, PercentileMatchesBruteForce) {
  for (std::size_t count : {1, 2, 3, 10, 99, 100, 101, 4999}) {
    for (int zeros : {0, 5, 9}) {
      const auto codes = some_codes(count, count, zeros, 200);
      const Histogram h = histogram_of(codes);
      for (int percent = 1; percent <= 100; ++percent)
        ASSERT_EQ(h.nonzero_percentile(percent), brute_percentile(codes, percent)) << count << " codes, p" << percent;
    }
  }
}

TEST(Histogram, PercentileCountsExactShares) {
  Histogram h;
  for (int q = 1; q <= 100; ++q) h.counts[q] = 1;
  h.counts[0] = 12345;
  for (int percent = 1; percent <= 100; ++percent) EXPECT_EQ(h.nonzero_percentile(percent), percent);
  EXPECT_EQ(h.nonzero_percentile(90.5), 91);
}

TEST(Histogram, EmptyAndAllZero) {
  Histogram h;
  EXPECT_EQ(h.total(), 0u);
  EXPECT_EQ(h.mean(), 0.0);
  EXPECT_EQ(h.standard_deviation(), 0.0);
  EXPECT_EQ(h.nonzero_percentile(90), 0);
  h.add(std::vector<std::uint8_t>(100, 0));
  EXPECT_EQ(h.total(), 100u);
  EXPECT_EQ(h.mean(), 0.0);
  EXPECT_EQ(h.nonzero_percentile(90), 0);
}

TEST(Histogram, MergingIsAddingTogether) {
  const auto a = some_codes(1001, 1, 4, 256), b = some_codes(777, 2, 4, 60);
  auto both = a;
  both.insert(both.end(), b.begin(), b.end());
  Histogram merged = histogram_of(a);
  merged += histogram_of(b);
  EXPECT_EQ(merged.counts, histogram_of(both).counts);
}

}  // namespace
}  // namespace triseg
