#include "core/philox.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

namespace triseg {
namespace {

using Counter = std::array<std::uint32_t, 4>;

// The known answers of philox4x32-10 that Random123 publishes (kat_vectors).
TEST(Philox, GivesThePublishedAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr std::uint32_t ones = 0xffffffff;
  EXPECT_EQ(philox4x32({ones, ones, ones, ones}, {ones, ones}),
            (Counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, UniformIsThe53BitFractionOfTheDocumentedCounter) {
  constexpr std::uint64_t seed = 0x0123456789abcdef, a = 0xfedcba9876543210;
  const auto x = philox4x32({0x76543210, 0xfedcba98, 7, (1u << 24) ^ 3}, {0x89abcdef, 0x01234567});
  const std::uint64_t bits = (std::uint64_t{x[1]} << 32) | x[0];
  EXPECT_EQ(uniform(seed, Stream::action, a, 7, 3), std::ldexp(double(bits >> 11), -53));
}

TEST(Philox, UniformIsUniform) {
  constexpr int bins = 64, draws = 256000;
  std::vector<int> count(bins);
  double sum = 0, squares = 0, serial = 0, previous = 0.5;
  for (int i = 0; i < draws; ++i) {
    const double u = uniform(1, Stream::action, i);
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    ++count[int(u * bins)];
    sum += u;
    squares += u * u;
    serial += (u - 0.5) * (previous - 0.5);
    previous = u;
  }
  double chi2 = 0;
  const double expected = double(draws) / bins;
  for (int n : count) chi2 += std::pow(n - expected, 2) / expected;
  EXPECT_LT(chi2, 63 + 5 * std::sqrt(2 * 63.0));
  EXPECT_NEAR(sum / draws, 0.5, 0.003);
  EXPECT_NEAR(squares / draws, 1.0 / 3, 0.003);
  EXPECT_NEAR(serial / draws, 0.0, 0.001);
}

TEST(Philox, EveryPartOfTheKeyCounts) {
  std::set<double> seen;
  std::size_t draws = 0;
  for (std::uint64_t seed : {0ull, 1ull, 1ull << 32})
    for (Stream stream :
         {Stream::action, Stream::image_order, Stream::shapes, Stream::self_test, Stream::initial_weights})
      for (std::uint64_t a : {0ull, 1ull, 1ull << 32})
        for (std::uint32_t b : {0u, 1u, 255u})
          for (std::uint32_t c : {0u, 1u, 255u, 65536u}) {
            seen.insert(uniform(seed, stream, a, b, c));
            ++draws;
          }
  EXPECT_EQ(seen.size(), draws);
}

TEST(Philox, UniformBelowCoversItsRangeEvenly) {
  for (std::uint32_t bound : {1u, 2u, 3u, 10u, 33u}) {
    std::vector<int> count(bound);
    constexpr int per_value = 2000;
    for (std::uint32_t i = 0; i < bound * per_value; ++i) {
      const std::uint32_t x = uniform_below(bound, 9, Stream::image_order, i);
      ASSERT_LT(x, bound);
      ++count[x];
    }
    for (int n : count) EXPECT_NEAR(n, per_value, 5 * std::sqrt(per_value));
  }
  for (int i = 0; i < 1000; ++i) EXPECT_LT(uniform_below(0xffffffff, 9, Stream::image_order, i), 0xffffffffu);
}

}  // namespace
}  // namespace triseg
