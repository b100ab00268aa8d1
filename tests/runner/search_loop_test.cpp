// A search that meets numbers which are none ends with a line, and its run file keeps what was good.
#include "runner/search.hpp"

#include "core/error.hpp"
#include "learner/files/run_file.hpp"
#include "runner/ranks/signals.hpp"
#include "runner/ranks/transport.hpp"
#include "tests/learner/files/examples.hpp"
#include "worker/engines/engines.hpp"

#include <gmock/gmock.h>

#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string_view>

namespace triseg {
namespace {

using testing::HasSubstr;

SearchOptions small_search() {
  SearchOptions o;
  o.episodes = 64;
  o.iteration.episodes_per_update = 16;
  o.iteration.batch_size = 8;
  o.iteration.calib_batches = 2;
  o.selection.top_k = 1;
  o.strategy.start.warm_start = WarmStart::mse;
  o.output.checkpoint_every = 0;
  return o;
}

/// What the search says in the end.
std::string error_of_search(const SearchOptions& o, const QuantizedNetwork& model, const std::filesystem::path& file) {
  const Problem problem = make_problem(model);
  const DataSet data = load_data_set("shapes");
  Scorer scorer(problem, data, engine_factory(EngineKind::automatic, problem), 1, o.problem.temperature);
  const auto alone = make_local_transport();
  Rollout rollout(*alone, scorer, false);
  RunData run;
  run.network = problem.network();
  run.seed = o.iteration.seed;
  run.episodes_total = o.episodes;
  run.temperature = o.problem.temperature;
  run.attention_weight = o.problem.attention_weight;
  return error_of([&] { Search(o, problem, data, rollout, run, file).run(); });
}

void expect_finite(const RunData& run) {
  for (const Episode& e : run.episodes) EXPECT_TRUE(std::isfinite(e.reward));
  for (const Update& u : run.updates) EXPECT_TRUE(std::isfinite(u.value_loss));
  for (const auto& [name, tensor] : run.checkpoint.tensors)
    for (const float x : tensor.values) EXPECT_TRUE(std::isfinite(x)) << name;
}

TEST(SearchLoop, ARewardThatIsNotFiniteEndsIt) {
  const TemporaryFolder folder;
  QuantizedNetwork model = example_model("lenet5");
  model.nodes.back().output.scale = 1e300;  // no model file has it
  SearchOptions o = small_search();
  o.problem.temperature = 1e-12;
  EXPECT_THAT(error_of_search(o, model, folder / "run.h5"),
              HasSubstr("iteration 0, episode 0: the reward is not finite (KD "));
  const RunData run = read_run(folder / "run.h5");
  EXPECT_EQ(run.episodes.size(), 0u);
  expect_finite(run);
}

TEST(SearchLoop, ADivergedStrategyEndsIt) {
  const TemporaryFolder folder;
  SearchOptions o = small_search();
  o.strategy.start.warm_start = WarmStart::none;
  o.strategy.ppo.learning_rate = 1e12;
  o.strategy.ppo.value_coefficient = 1e12;
  EXPECT_THAT(error_of_search(o, example_model("lenet5"), folder / "run.h5"), HasSubstr("the strategy diverged"));
  expect_finite(read_run(folder / "run.h5"));
}

/// Asks the process to stop when the race of the finalists is over.
class StopBehindRace final : public spdlog::sinks::base_sink<std::mutex> {
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (std::string_view(message.payload.data(), message.payload.size()).find("were scored on all images") !=
        std::string_view::npos)
      std::raise(SIGUSR1);
  }
  void flush_() override {}
};

/// On a process of its own: signals are counted for good.
void stop_on_the_test_split_and_go_on(const std::filesystem::path& folder) {
  const Problem problem = make_problem(example_model("lenet5"));
  const DataSet data = load_data_set("shapes");
  SearchOptions o = small_search();
  Scorer scorer(problem, data, engine_factory(EngineKind::automatic, problem), 1, o.problem.temperature);
  const auto alone = make_local_transport();
  RunData run;
  run.network = problem.network();
  run.seed = o.iteration.seed;
  run.temperature = o.problem.temperature;
  run.attention_weight = o.problem.attention_weight;
  catch_stop_signals("iteration");
  spdlog::default_logger()->sinks().push_back(std::make_shared<StopBehindRace>());
  Rollout stopped(*alone, scorer, false);
  const int code = Search(o, problem, data, stopped, run, folder / "run.h5").run();
  std::fprintf(stderr, "%d; ", code);
  const RunData there = read_run(folder / "run.h5");
  std::fprintf(stderr, "finished %d, top %zu, finalists on %llu images\n", there.finished, there.top.size(),
               static_cast<unsigned long long>(there.finalists.front().score.images));
  std::_Exit(0);
}

TEST(SearchLoopDeathTest, ASignalIsHeardWhileTheTestSplitIsScored) {
  testing::FLAGS_gtest_death_test_style = "fast";  // the same folder
  const TemporaryFolder folder;
  EXPECT_EXIT(stop_on_the_test_split_and_go_on(folder.path()), testing::ExitedWithCode(0),
              "85; finished 0, top 0, finalists on 2000 images");
  const RunData stopped = read_run(folder / "run.h5");
  SearchOptions o = small_search();
  const Problem problem = make_problem(example_model("lenet5"));
  const DataSet data = load_data_set("shapes");
  Scorer scorer(problem, data, engine_factory(EngineKind::automatic, problem), 1, o.problem.temperature);
  const auto alone = make_local_transport();
  Rollout rollout(*alone, scorer, false);
  RunData fresh;
  fresh.network = problem.network();
  fresh.seed = o.iteration.seed;
  fresh.temperature = o.problem.temperature;
  fresh.attention_weight = o.problem.attention_weight;
  Search continued(o, problem, data, rollout, stopped, folder / "run.h5");
  Search whole(o, problem, data, rollout, fresh, folder / "whole.h5");
  EXPECT_EQ(continued.run(), 0);
  EXPECT_EQ(whole.run(), 0);
  EXPECT_TRUE(continued.data().finished);
  EXPECT_EQ(continued.data().selected.test, whole.data().selected.test);
  EXPECT_EQ(continued.data().selected.top_index, whole.data().selected.top_index);
  EXPECT_EQ(continued.data().top.size(), whole.data().top.size());
}

}  // namespace
}  // namespace triseg
