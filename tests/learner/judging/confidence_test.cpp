#include "learner/judging/confidence.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace triseg {
namespace {

Score disagreements(std::uint64_t teacher_only, std::uint64_t student_only) { return {0, 0, 10000, 5000, teacher_only, student_only}; }

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

}  // namespace
}  // namespace triseg
