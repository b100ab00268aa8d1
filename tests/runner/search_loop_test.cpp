// A search that meets numbers which are none ends with a line, and its run file keeps what was good.
#include "runner/search.hpp"

#include "core/error.hpp"
#include "learner/files/run_file.hpp"
#include "runner/ranks/transport.hpp"
#include "tests/learner/files/examples.hpp"
#include "worker/engines/engines.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <filesystem>

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

}  // namespace
}  // namespace triseg
