#include "learner/judging/confidence.hpp"

#include <gtest/gtest.h>

#include <array>

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <utility>

namespace triseg {
namespace {

Score disagreements(std::uint64_t teacher_only, std::uint64_t student_only) {
  return {0, 0, 10000, 5000, teacher_only, student_only};
}

Interval drop_of(std::uint64_t images, std::uint64_t teacher_only, std::uint64_t student_only) {
  return drop_95({0, 0, images, 0, teacher_only, student_only});
}

/// Airway hyper-responsiveness, 21 children: Fagerland, Lydersen, Laake, Statistics in Medicine 33, 2014.
TEST(DropInterval, IsThatOfAPublishedExample) {
  const Interval reactivity = drop_of(21, 1, 7);
  EXPECT_NEAR(reactivity.low, -51.7, 0.05);
  EXPECT_NEAR(reactivity.high, -2.6, 0.05);
}

/// The share of student_only that makes the table most likely, given the drop: by search over the likelihood itself.
double most_likely_share(double images, double b, double c, double drop) {
  const auto log_likelihood = [&](double q) {
    const auto term = [](double count, double share) { return count > 0 ? count * std::log(share) : 0; };
    return term(b, q + drop) + term(c, q) + term(images - b - c, 1 - 2 * q - drop);
  };
  double low = std::max(0.0, -drop), high = (1 - drop) / 2;
  for (int i = 0; i < 200; ++i) {
    const double left = low + (high - low) * 0.49, right = low + (high - low) * 0.51;
    (log_likelihood(left) < log_likelihood(right) ? low : high) =
        log_likelihood(left) < log_likelihood(right) ? left : right;
  }
  return (low + high) / 2;
}

TEST(DropInterval, EndsWhereTheScoreTestRejects) {
  for (const auto& [n, b, c] :
       {std::tuple(40, 3, 9), {40, 0, 9}, {40, 9, 0}, {40, 20, 20}, {40, 12, 1}, {10000, 150, 80}, {10000, 2, 2}}) {
    const Interval interval = drop_of(n, b, c);
    for (const double bound : {interval.low / 100, interval.high / 100}) {
      const double q = most_likely_share(n, b, c, bound);
      const double statistic = (b - c - n * bound) / std::sqrt(n * (2 * q + bound * (1 - bound)));
      EXPECT_NEAR(statistic, bound < double(b - c) / n ? 1.959964 : -1.959964, 1e-3)
          << n << " images, " << b << ", " << c;
    }
  }
}

TEST(DropInterval, HasAWidthWithoutDisagreements) {
  // (n D)^2 = z^2 n D (1 - D)
  const double bound = 100 * 3.8414588 / (10000 + 3.8414588);
  EXPECT_NEAR(drop_of(10000, 0, 0).low, -bound, 1e-6);
  EXPECT_NEAR(drop_of(10000, 0, 0).high, bound, 1e-6);
  EXPECT_EQ(drop_of(10, 10, 0).high, 100);
  EXPECT_LT(drop_of(10, 10, 0).low, 100);
  EXPECT_EQ(drop_of(10, 0, 10).low, -100);
  EXPECT_GT(drop_of(10, 0, 10).high, -100);
  EXPECT_EQ(drop_of(0, 0, 0).high, 0);
}

TEST(DropInterval, ExchangingTeacherAndStudentTurnsItRound) {
  const Interval a = drop_of(500, 31, 12), b = drop_of(500, 12, 31);
  EXPECT_EQ(a.low, -b.high);
  EXPECT_EQ(a.high, -b.low);
  EXPECT_LT(a.low, 100 * 19.0 / 500);
  EXPECT_GT(a.high, 100 * 19.0 / 500);
}

/// The share of tables, of the exact trinomial distribution, whose interval holds the true drop.
TEST(DropInterval, HoldsTheTrueDropInAbout95Percent) {
  constexpr int n = 60;
  for (const auto& [teacher_only, student_only] : {std::pair(0.1, 0.05), {0.02, 0.02}, {0.3, 0.1}, {0.25, 0.25}}) {
    double covered = 0;
    for (int b = 0; b <= n; ++b)
      for (int c = 0; b + c <= n; ++c) {
        const double log_p = std::lgamma(n + 1.0) - std::lgamma(b + 1.0) - std::lgamma(c + 1.0) -
                             std::lgamma(n - b - c + 1.0) + b * std::log(teacher_only) + c * std::log(student_only) +
                             (n - b - c) * std::log(1 - teacher_only - student_only);
        const Interval interval = drop_of(n, b, c);
        const double drop = 100 * (teacher_only - student_only);
        if (interval.low <= drop && drop <= interval.high) covered += std::exp(log_p);
      }
    EXPECT_GT(covered, 0.94) << teacher_only << ", " << student_only;
    EXPECT_LT(covered, 0.99) << teacher_only << ", " << student_only;
  }
}

TEST(Mcnemar, IsTheExactBinomialTest) {
  EXPECT_NEAR(mcnemar_p(disagreements(10, 2)), 2 * (1 + 12 + 66) / 4096.0, 1e-15);
  EXPECT_NEAR(mcnemar_p(disagreements(2, 10)), 2 * (1 + 12 + 66) / 4096.0, 1e-15) << "two-sided";
  EXPECT_NEAR(mcnemar_p(disagreements(5, 3)), 2 * (1 + 8 + 28 + 56) / 256.0, 1e-15);
  EXPECT_NEAR(mcnemar_p(disagreements(0, 6)), 2 / 64.0, 1e-15);
  EXPECT_EQ(mcnemar_p(disagreements(4, 4)), 1) << "not 2 x 163 / 256";
  EXPECT_EQ(mcnemar_p(disagreements(1, 0)), 1);
  EXPECT_EQ(mcnemar_p(disagreements(0, 0)), 1);
}

TEST(Mcnemar, ManyDisagreementsDoNotUnderflow) {
  // 2^-4000 is no double. Against the normal approximation with continuity correction: z = (|b - c| - 1) / sqrt(b + c).
  const double p = mcnemar_p(disagreements(2100, 1900)), z = 199 / std::sqrt(4000.0);
  EXPECT_NEAR(p, std::erfc(z / std::sqrt(2.0)), 1e-5);
  EXPECT_EQ(mcnemar_p(disagreements(2000, 2000)), 1);
  EXPECT_EQ(mcnemar_p(disagreements(5000, 0)), 0);
}

/// Quantiles as tables print them (NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2).
TEST(StudentT, IsThatOfTables) {
  for (const auto& [degrees, quantile] : {std::pair(1, 12.706),
                                          {2, 4.303},
                                          {3, 3.182},
                                          {4, 2.776},
                                          {5, 2.571},
                                          {9, 2.262},
                                          {10, 2.228},
                                          {29, 2.045},
                                          {30, 2.042},
                                          {100, 1.984}})
    EXPECT_NEAR(student_t_975(degrees), quantile, 5e-4) << degrees;
}

TEST(MeanInterval, IsWorkedOutByHand) {
  // Mean 2, variance 1: 4.3027 / sqrt(3).
  const MeanInterval interval = mean_95(std::array{1.0, 2.0, 3.0});
  EXPECT_DOUBLE_EQ(interval.mean, 2);
  EXPECT_NEAR(interval.half_width, 2.4841, 1e-4);
  EXPECT_EQ(mean_95(std::array{0.1, 0.1, 0.1}).half_width, 0);
  EXPECT_TRUE(std::isnan(mean_95(std::array{5.0}).half_width));
}

TEST(StudentTail, IsThatOfTheTables) {
  // Critical values as tables have them, to their last digit.
  for (const auto& [t, degrees, tail] : {std::tuple(3.143, 6, 0.01),
                                         {3.707, 6, 0.005},
                                         {2.624, 14, 0.01},
                                         {2.228, 10, 0.025},
                                         {31.599, 2, 0.0005},
                                         {3.460, 60, 0.0005}})
    EXPECT_NEAR(student_t_tail(t, degrees), tail, 2e-3 * tail) << t << ", " << degrees;
  EXPECT_EQ(student_t_tail(0, 6), 0.5);
  EXPECT_NEAR(student_t_tail(std::numeric_limits<double>::infinity(), 6), 0, 1e-15);
  EXPECT_DOUBLE_EQ(student_t_tail(1.5, 2), 0.5 - 1.5 / (2 * std::sqrt(2 + 1.5 * 1.5)));
  EXPECT_NEAR(student_t_tail(student_t_975(30), 30), 0.025, 1e-12);
}

TEST(DropStatistic, IsMcNemarsAtNoDropAndEndsTheInterval) {
  EXPECT_DOUBLE_EQ(drop_statistic(disagreements(30, 12), 0), 18 / std::sqrt(42.0));
  EXPECT_EQ(drop_statistic(disagreements(0, 0), 0), 0);
  for (const Score& s : {disagreements(150, 80), disagreements(9, 0), disagreements(3, 40)}) {
    EXPECT_NEAR(drop_statistic(s, drop_95(s).low), 1.959964, 1e-6);
    EXPECT_NEAR(drop_statistic(s, drop_95(s).high), -1.959964, 1e-6);
  }
}

}  // namespace
}  // namespace triseg
