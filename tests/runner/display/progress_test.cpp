#include "runner/display/progress.hpp"

#include "runner/display/live_view.hpp"
#include "runner/display/rank_use.hpp"

#include <gmock/gmock.h>

#include <chrono>
#include <string>
#include <vector>

namespace triseg {
namespace {

using testing::ElementsAre;

TEST(ProgressLines, FactsFlowIntoTheWidthBehindABarThatGivesWay) {
  const std::vector<std::string> facts = {"12.0 episodes/s", "ETA 0:14", "gain +0.0100"};
  EXPECT_THAT(progress_lines(0.125, "24/192 episodes", facts, 80),
              ElementsAre("[#####...................................] 12 %, 24/192 episodes",
                          "12.0 episodes/s, ETA 0:14, gain +0.0100"));
  // The last column stays free.
  EXPECT_THAT(progress_lines(0.5, "96/192 episodes", facts, 40),
              ElementsAre("[#######........] 50 %, 96/192 episodes", "12.0 episodes/s, ETA 0:14, gain +0.0100"));
  EXPECT_THAT(progress_lines(1, "192/192 episodes", facts, 39),
              ElementsAre("[############] 100 %, 192/192 episodes", "12.0 episodes/s, ETA 0:14", "gain +0.0100"));
  EXPECT_THAT(progress_lines(0, "0/192 episodes", {}, 20), ElementsAre("[......] 0 %, 0/192 episodes"));
  EXPECT_EQ(progress_lines(0, "0/9", std::vector<std::string>(9, std::string(30, 'x')), 40).size(), live_view_lines);
}

TEST(ClockTime, HasHoursWhereThereAreAny) {
  EXPECT_EQ(clock_time(0.4), "0:00");
  EXPECT_EQ(clock_time(65), "1:05");
  EXPECT_EQ(clock_time(7199.6), "2:00:00");
}

TEST(RankUse, IsTheShareOfTheTimeBetweenTwoMoments) {
  const std::chrono::steady_clock::time_point start;
  const RankTimes from{start, {1, 1, 2}, 0.5}, to{start + std::chrono::seconds(10), {6, 10, 8}, 2.5};
  const RankUse use = rank_use(from, to);
  EXPECT_DOUBLE_EQ(use.scoring, 0.5);
  EXPECT_DOUBLE_EQ(use.learning, 0.2);
  EXPECT_DOUBLE_EQ(use.mean, (0.7 + 0.9 + 0.6) / 3);
  EXPECT_DOUBLE_EQ(use.least, 0.6);
  EXPECT_EQ(use.text(), "ranks busy 73 % (least 60 %)");
  EXPECT_EQ(rank_use({start, {0}, 0}, {start + std::chrono::seconds(2), {1.5}, 0.25}).text(),
            "scoring 75 %, learning 12 %");
  EXPECT_EQ(rank_use(from, from).mean, 0);
}

}  // namespace
}  // namespace triseg
