// Which runs go on: examples small enough to be decided by hand.
#include "runner/sweep/sweep_halving.hpp"

#include "core/atomic_file.hpp"
#include "learner/files/run_file.hpp"
#include "tests/learner/files/examples.hpp"

#include <gmock/gmock.h>

#include <limits>

namespace triseg {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using State = Standing::State;

/// Runs "a", "b", ... of one bracket.
SweepTable table_of(std::size_t runs, std::vector<std::uint64_t> rungs, std::uint64_t eta = 2) {
  SweepTable table;
  for (std::size_t i = 0; i < runs; ++i) {
    table.runs.emplace_back();
    table.runs.back().id = std::string(1, char('a' + i));
    table.runs.back().search.episodes = 1000;
    table.runs.back().search.iteration.batch_size = 10;
    table.runs.back().search.iteration.episodes_per_update = 50;
    table.runs.back().most_final_images = 7;
  }
  table.halving = {std::move(rungs), eta, {}};
  return table;
}

/// Measured at rungs 100, 200, ... in whole iterations.
RungProgress measured(std::vector<double> kds, bool failed = false) {
  RungProgress progress{{}, failed};
  for (std::size_t r = 0; r < kds.size(); ++r)
    progress.measured.push_back({100 * (r + 1), 100 * (r + 1) + 28, 1000, kds[r]});
  return progress;
}

std::vector<State> states(const std::vector<Standing>& all) {
  std::vector<State> states;
  for (const Standing& s : all) states.push_back(s.state);
  return states;
}

TEST(Halving, TheBestHalfGoesOn) {
  const SweepTable table = table_of(5, {100, 200});
  const std::vector<RungProgress> progress = {measured({0.3}), measured({0.1}), measured({0.5}), measured({0.2}),
                                              measured({0.4})};
  const auto all = standings(table, progress);
  EXPECT_THAT(states(all),
              ElementsAre(State::searches, State::searches, State::stopped, State::searches, State::stopped));
  EXPECT_EQ(all[0].rungs, 1);
  EXPECT_EQ(all[2].rungs, 0);
  EXPECT_EQ(all[2].place, 5);
  EXPECT_EQ(all[4].place, 4);
  EXPECT_EQ(all[4].of, 5);
  EXPECT_EQ(all[4].kept, 3);
}

TEST(Halving, ABracketWaitsForItsLastRunAndForNoOther) {
  SweepTable table = table_of(4, {100});
  table.runs[2].bracket = table.runs[3].bracket = 1;
  EXPECT_THAT(states(standings(table, std::vector{measured({0.1}), measured({}), measured({0.4}), measured({0.3})})),
              ElementsAre(State::waits, State::searches, State::stopped, State::searches));
}

TEST(Halving, RungsFollowEachOther) {
  const SweepTable table = table_of(4, {100, 200});
  std::vector<RungProgress> progress = {measured({0.1}), measured({0.2, 0.05}), measured({0.3}), measured({0.4})};
  EXPECT_THAT(states(standings(table, progress)),
              ElementsAre(State::searches, State::waits, State::stopped, State::stopped));
  progress[0] = measured({0.1, 0.06});
  const auto all = standings(table, progress);
  EXPECT_THAT(states(all), ElementsAre(State::stopped, State::searches, State::stopped, State::stopped));
  EXPECT_EQ(all[0].rungs, 1);
  EXPECT_EQ(all[1].rungs, 2);
}

TEST(Halving, AFailedRunIsOut) {
  const SweepTable table = table_of(4, {100}, 4);
  EXPECT_THAT(states(standings(
                  table, std::vector{measured({}, true), measured({0.3}), measured({0.2}), measured({0.1}, true)})),
              ElementsAre(State::searches, State::stopped, State::stopped, State::searches))
      << "one that fails behind the rung was measured there";
  EXPECT_THAT(states(standings(table_of(2, {100}), std::vector{measured({}, true), measured({}, true)})),
              ElementsAre(State::searches, State::searches));
}

TEST(Halving, EqualOnesGoByTheirIdWhateverTheirIndex) {
  SweepTable table = table_of(2, {100});
  const std::vector<RungProgress> equal = {measured({0.1}), measured({0.1})};
  EXPECT_THAT(states(standings(table, equal)), ElementsAre(State::searches, State::stopped));
  std::swap(table.runs[0], table.runs[1]);
  EXPECT_THAT(states(standings(table, equal)), ElementsAre(State::stopped, State::searches));
}

TEST(Halving, ASearchThatHasEndedCountsAtLaterRungs) {
  RungProgress ended;
  ended.measured.push_back({100, 0, 1000, 0.1});
  const auto all = standings(table_of(2, {100, 200}, 2), std::vector{ended, measured({0.2})});
  EXPECT_THAT(states(all), ElementsAre(State::searches, State::stopped));
  EXPECT_EQ(all[0].rungs, 2);
}

TEST(Halving, SettlingWritesWhoIsStopped) {
  const TemporaryFolder place;
  const SweepFolder folder{place.path()};
  SweepTable table = table_of(2, {100});
  for (const char* id : {"a", "b", "c"}) std::filesystem::create_directories(folder.run(id));
  add_measurement(folder, "a", {100, 128, 433, 0.25});
  EXPECT_THAT(states(settle(folder, table)), ElementsAre(State::waits, State::searches));
  add_measurement(folder, "b", {100, 100, 433, 0.125});
  EXPECT_THAT(states(settle(folder, table)), ElementsAre(State::stopped, State::searches));
  const RunStatus status = run_status(folder, "a");
  EXPECT_EQ(status.state, RunState::stopped);
  EXPECT_EQ(status.reason, "at 100 episodes: its KD, 0.25000, is in place 2 of 2; 1 went on");
  const auto read = read_measurements(folder, "a");
  ASSERT_EQ(read.size(), 1);
  EXPECT_EQ(read[0].episodes, 128);
  EXPECT_EQ(read[0].images, 433);
  EXPECT_EQ(read[0].kd, 0.25);
  table.runs.push_back(table.runs.back());
  table.runs.back().id = "c";  // the sweep has grown
  EXPECT_THAT(states(settle(folder, table)), ElementsAre(State::waits, State::waits, State::searches));
  add_measurement(folder, "c", {100, 100, 433, 0.5});
  EXPECT_THAT(states(settle(folder, table)), ElementsAre(State::searches, State::searches, State::stopped));
  EXPECT_EQ(run_status(folder, "c").reason, "at 100 episodes: its KD, 0.50000, is in place 3 of 3; 2 went on");
  // One that is finished by then stays so, whatever the grown bracket lets through.
  std::filesystem::create_directories(folder.files("c").folder);
  write_run(folder.files("c").run, example_run());
  settle(folder, table);
  EXPECT_EQ(run_status(folder, "c").state, RunState::finished);
  EXPECT_THAT(error_of([&] {
                add_measurement(folder, "c", {100, 100, 433, std::numeric_limits<double>::infinity()});
              }),
              HasSubstr("the KD on validation is not finite"));
  commit_file(folder.rungs("b"), "[{}]");
  EXPECT_THAT(error_of([&] { settle(folder, table); }), HasSubstr("rungs.json: expected what the rungs"));
}

TEST(Halving, TheCostIsThatOfThoseThatGoOn) {
  const SweepCost cost = cost_of(table_of(5, {100, 200}));
  EXPECT_EQ(cost.student_images, (5 * 100 + 3 * 100 + 2 * 800) * 10);
  EXPECT_EQ(cost.measurements, 5 + 3);
  EXPECT_EQ(cost.most_final_images, 2 * 7);
  ASSERT_EQ(cost.rungs.size(), 2);
  EXPECT_EQ(cost.rungs[0].going_on, 3);
  EXPECT_EQ(cost.rungs[1].going_on, 2);
  EXPECT_EQ(cost.rungs[0].most, 100);
  EXPECT_EQ(cost_of(table_of(5, {})).student_images, 5 * 1000 * 10);
  EXPECT_EQ(cost_of(table_of(5, {})).most_final_images, 5 * 7);
}

TEST(Halving, RunsAreMeasuredAfterWholeIterations) {
  SweepTable table = table_of(2, {10, 970});
  table.runs[1].search.iteration.episodes_per_update = 64;
  const SweepCost cost = cost_of(table);
  EXPECT_EQ(cost.rungs[0].least, 50);
  EXPECT_EQ(cost.rungs[0].most, 64);
  EXPECT_EQ(cost.rungs[1].least, 1000) << "the last iteration may be smaller";
  EXPECT_EQ(cost.rungs[1].most, 1000);
  EXPECT_EQ(cost.student_images, ((50 + 64) + (1000 - 50)) * 10);
}

}  // namespace
}  // namespace triseg
