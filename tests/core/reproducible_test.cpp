// Accuracy against the C library, and bits that must never change.
#include "core/reproducible.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

namespace triseg {
namespace {

double units(double actual, double expected) {
  const double next = std::nextafter(std::abs(expected), std::numeric_limits<double>::infinity());
  return std::abs(actual - expected) / (next - std::abs(expected));
}

TEST(RealFunctions, AreAccurate) {
  for (int i = -200000; i <= 200000; ++i) {
    const double x = i * 0.003517;
    if (std::exp(x) > 1e-300 && std::exp(x) < 1e300) {
      ASSERT_LE(units(reproducible_exp(x), std::exp(x)), 3.0) << x;
      ASSERT_LE(units(reproducible_log(std::exp(x)), std::log(std::exp(x))), 3.0) << x;
    }
    ASSERT_NEAR(reproducible_tanh(x), std::tanh(x), 1e-15) << x;
  }
  for (double x : {0.999999, 1.000001, 0.7071, 1.4142, 5e-324, 1e-310, 1.7e308})
    EXPECT_LE(units(reproducible_log(x), std::log(x)), 3.0) << x;
  for (std::uint64_t n : {0, 1, 2, 7, 628, 100000})
    EXPECT_NEAR(reproducible_power(0.999, n) / std::pow(0.999, double(n)), 1.0, 1e-12) << n;
}

TEST(RealFunctions, HaveTheirLimits) {
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(reproducible_exp(0.0), 1.0);
  EXPECT_EQ(reproducible_exp(-infinity), 0.0);
  EXPECT_EQ(reproducible_exp(-1e9), 0.0);
  EXPECT_EQ(reproducible_exp(1e9), infinity);
  EXPECT_TRUE(std::isnan(reproducible_exp(std::nan(""))));
  EXPECT_EQ(reproducible_log(1.0), 0.0);
  EXPECT_EQ(reproducible_log(0.0), -infinity);
  EXPECT_EQ(reproducible_log(infinity), infinity);
  EXPECT_TRUE(std::isnan(reproducible_log(-1.0)));
  EXPECT_EQ(reproducible_tanh(1000.0), 1.0);
  EXPECT_EQ(reproducible_tanh(-1000.0), -1.0);
  EXPECT_EQ(reproducible_tanh(0.0), 0.0);
  EXPECT_EQ(reproducible_power(0.0, 0), 1.0);
}

/// The sum of the bits of many results: another compiler, C library or processor must find the same.
TEST(RealFunctions, GiveTheSameBitsEverywhere) {
  std::uint64_t sum = 0;
  for (int i = 0; i < 100000; ++i) {
    const double x = (i - 50000) * 0.00271828;
    sum = sum * 6364136223846793005u + std::bit_cast<std::uint64_t>(reproducible_exp(x));
    sum = sum * 6364136223846793005u + std::bit_cast<std::uint64_t>(reproducible_log(1e-6 + i * 0.37));
    sum = sum * 6364136223846793005u + std::bit_cast<std::uint64_t>(reproducible_tanh(x));
  }
  EXPECT_EQ(sum, 11331969282733221340u);
}

}  // namespace
}  // namespace triseg
