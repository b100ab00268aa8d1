#include "learner/judging/sensitivity.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace triseg {
namespace {

using ::testing::ElementsAre;

constexpr Codes first{1, 2, 3, 4, 5}, second{2, 4, 6, 8, 10};

TEST(Sensitivity, StudentsAreAllThenEachAloneThenAllButEach) {
  EXPECT_THAT(sensitivity_students(std::vector{first, second}),
              ElementsAre(ElementsAre(first, second), ElementsAre(first, Codes{}), ElementsAre(Codes{}, second),
                          ElementsAre(Codes{}, second), ElementsAre(first, Codes{})));
  EXPECT_EQ(staircase(Codes{}), identity_table());
}

Score score(double kd) { return {kd, 0, split_batch, split_batch, 0, 0}; }

TEST(Sensitivity, DifferencesArePairedOverRecords) {
  // Two sites, two records; the KD sums of all, first alone, second alone, without the first, without the second.
  const std::vector<Score> records{score(500), score(125), score(250), score(250), score(375),
                                   score(750), score(125), score(500), score(500), score(625)};
  const Sensitivity found = sensitivity(records, 2);
  EXPECT_EQ(found.all.images, 2 * split_batch);
  EXPECT_DOUBLE_EQ(found.kd.mean, 5);
  EXPECT_DOUBLE_EQ(found.sites[0].kd_alone.mean, 1);
  EXPECT_DOUBLE_EQ(found.sites[0].kd_alone.error, 0) << "the same on both records";
  EXPECT_DOUBLE_EQ(found.sites[1].kd_alone.mean, 3);
  EXPECT_DOUBLE_EQ(found.sites[1].kd_alone.error, 1)
      << "2 and 4 an image: a standard deviation of sqrt(2) over sqrt(2)";
  EXPECT_DOUBLE_EQ(found.sites[0].kd_without.mean, 3);
  EXPECT_DOUBLE_EQ(found.sites[0].kd_saved.mean, 2);
  EXPECT_DOUBLE_EQ(found.sites[0].kd_saved.error, 0) << "what both records make hard cancels";
  EXPECT_DOUBLE_EQ(found.sites[1].kd_saved.mean, 1);
  EXPECT_THAT(ranked(found), ElementsAre(1, 0));
}

}  // namespace
}  // namespace triseg
