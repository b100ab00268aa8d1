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

TEST(Patience, CountsOnlyTheTimeInWhichTheProcessRan) {
  using namespace std::chrono_literals;
  const Patience::Time start{};
  Patience patience;
  patience.begin(start);
  for (int i = 1; i <= 100; ++i) patience.look(start + i * 30ms);
  EXPECT_NEAR(patience.seconds(), 3, 1e-9);
  patience.look(start + 1h);
  EXPECT_NEAR(patience.seconds(), 4, 1e-9) << "it was stopped for an hour";
  patience.begin(start + 2h);
  EXPECT_EQ(patience.seconds(), 0);
}

}  // namespace
}  // namespace triseg
