#include "runner/ranks/watch.hpp"

#include <gtest/gtest.h>

namespace triseg {
namespace {

TEST(Watch, RankZeroGivesUpFirstAndThenOneAfterTheOther) {
  EXPECT_EQ(limit_of(0, 600, true), 600);
  for (const double timeout : {0.001, 3.0, 600.0}) {
    for (int rank = 1; rank < 300; ++rank) {
      EXPECT_GT(limit_of(rank, timeout, true), 3 * limit_of(0, timeout, true));
      EXPECT_GE(limit_of(rank, timeout, true), limit_of(rank - 1, timeout, true) + (rank > 1 ? 1 : 0));
    }
  }
}

TEST(Watch, TheStartHasAMinuteAtLeast) {
  EXPECT_EQ(limit_of(0, 3, false), 60);
  EXPECT_EQ(limit_of(0, 600, false), 600);
  EXPECT_GT(limit_of(1, 3, false), 180);
}

}  // namespace
}  // namespace triseg
