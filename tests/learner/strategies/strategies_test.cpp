// What every strategy promises: legal draws, the same after a resume, and progress on a toy problem.
#include "core/error.hpp"
#include "learner/strategies/cma_es.hpp"
#include "learner/strategies/coordinate_search.hpp"
#include "learner/strategies/random_search.hpp"
#include "learner/strategies/strategies.hpp"
#include "tests/learner/strategies/toy_problem.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>

namespace triseg::testing {
namespace {

std::unique_ptr<Strategy> strategy_called(std::string_view name, const std::vector<SiteData>& sites) {
  for (const auto& [known, kind] : strategy_names)
    if (known == name) return make_strategy({.kind = kind}, sites, 5);
  return nullptr;
}

std::vector<std::string_view> all_names() {
  std::vector<std::string_view> names;
  for (const auto& [name, kind] : strategy_names)
    if (kind != StrategyKind::ste) names.push_back(name);  // ste_test.cpp has its own: it needs gradients
  return names;
}

class EveryStrategy : public ::testing::TestWithParam<std::string_view> {
 protected:
  std::vector<SiteData> sites_ = three_sites();
  std::unique_ptr<Strategy> make() const { return strategy_called(GetParam(), sites_); }
};

TEST_P(EveryStrategy, DrawsLegalCodesWithASearchedTmax) {
  sites_ = three_sites_of_searched_tmax();
  const auto strategy = make();
  std::set<int> drawn;
  for (std::uint64_t iteration = 0; iteration < 5; ++iteration) {
    for (const auto& codes : strategy->propose(iteration * 40, 40).codes)
      for (const Codes& c : codes) {
        EXPECT_TRUE(is_legal(c)) << to_string(c);
        drawn.insert(c.tmax);
      }
    one_iteration(*strategy, sites_, iteration, 40);
  }
  if (GetParam() == "mse") EXPECT_EQ(drawn.size(), 3u) << "nothing is drawn";
  else EXPECT_GT(drawn.size(), 6u);
}

TEST_P(EveryStrategy, ContinuesASearchForTmaxToTheSameCodes) {
  sites_ = three_sites_of_searched_tmax();
  const auto whole = make(), first = make(), second = make();
  for (std::uint64_t i = 0; i < 4; ++i) one_iteration(*whole, sites_, i);
  for (std::uint64_t i = 0; i < 2; ++i) one_iteration(*first, sites_, i);
  Checkpoint checkpoint;
  first->save(checkpoint);
  second->restore(checkpoint);
  for (std::uint64_t i = 2; i < 4; ++i) one_iteration(*second, sites_, i);
  EXPECT_EQ(second->most_probable(), whole->most_probable());
  EXPECT_EQ(second->propose(1000, 64).codes, whole->propose(1000, 64).codes);
}

/// Those that use episodes, and so have something to learn and to keep.
class LearningStrategy : public EveryStrategy {};

TEST_P(EveryStrategy, DrawsLegalCodesOnly) {
  sites_.push_back(site(0, 1, smallest_tmax));
  const auto strategy = make();
  for (std::uint64_t iteration = 0; iteration < 5; ++iteration) {
    for (const auto& codes : strategy->propose(iteration * 40, 40).codes) {
      ASSERT_EQ(codes.size(), sites_.size());
      for (std::size_t l = 0; l < sites_.size(); ++l) {
        EXPECT_TRUE(is_legal(codes[l])) << to_string(codes[l]);
        EXPECT_EQ(codes[l].tmax, sites_[l].tmax);
      }
    }
    one_iteration(*strategy, sites_, iteration, 40);
  }
  for (const Codes& codes : strategy->most_probable()) EXPECT_TRUE(is_legal(codes));
}

TEST_P(EveryStrategy, ContinuesFromACheckpointToTheSameCodes) {
  const auto whole = make();
  for (std::uint64_t i = 0; i < 6; ++i) one_iteration(*whole, sites_, i);
  Checkpoint checkpoint;
  {
    const auto first = make();
    for (std::uint64_t i = 0; i < 3; ++i) one_iteration(*first, sites_, i);
    first->save(checkpoint);
  }
  const auto second = make();
  second->restore(checkpoint);
  for (std::uint64_t i = 3; i < 6; ++i) one_iteration(*second, sites_, i);
  EXPECT_EQ(second->most_probable(), whole->most_probable());
  EXPECT_EQ(second->propose(1000, 64).codes, whole->propose(1000, 64).codes);
  Checkpoint a, b;
  whole->save(a);
  second->save(b);
  EXPECT_EQ(a.optimizer_steps, b.optimizer_steps);
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (const auto& [name, tensor] : a.tensors) EXPECT_EQ(tensor.values, b.tensors.at(name).values) << name;
}

TEST_P(LearningStrategy, RefusesAForeignCheckpoint) {
  const auto strategy = make();
  Checkpoint checkpoint;
  strategy->save(checkpoint);
  checkpoint.tensors.begin()->second.shape.push_back(1);
  EXPECT_THROW(strategy->restore(checkpoint), std::exception);
  EXPECT_THROW(strategy->restore(Checkpoint{}), std::exception);
}

TEST_P(LearningStrategy, ComesCloserToTheBestCodes) {
  const auto strategy = make();
  const double first = toy_reward(sites_, strategy->most_probable());
  for (std::uint64_t i = 0; i < 80; ++i) one_iteration(*strategy, sites_, i);
  EXPECT_GT(toy_reward(sites_, strategy->most_probable()), 0.3 * first) << "rewards are negative";
}

TEST_P(LearningStrategy, MovesTmaxToWhereItIsBest) {
  sites_ = three_sites_of_searched_tmax();
  const auto strategy = make();
  const auto distance = [&](const std::vector<Codes>& codes) {
    double sum = 0;
    for (std::size_t l = 0; l < sites_.size(); ++l) sum += std::abs(codes[l].tmax - (sites_[l].tmax + 12.0));
    return sum;
  };
  for (std::uint64_t i = 0; i < 80; ++i) {
    std::vector<Episode> episodes;
    Update update;
    for (auto& codes : strategy->propose(i * 64, 64).codes) {
      episodes.push_back({i, -distance(codes), {}, codes});
      update.mean_reward -= distance(codes) / 64;
    }
    strategy->learn(episodes, {}, update);
  }
  EXPECT_LT(distance(strategy->most_probable()), GetParam() == "random" ? 60 : 18)
      << "36 at first, some 250 of a uniform draw";
}

TEST_P(EveryStrategy, SurvivesAShortLastIteration) {
  const auto strategy = make();
  one_iteration(*strategy, sites_, 0);
  for (std::size_t count : {1, 2, 3}) one_iteration(*strategy, sites_, 100, count);
  for (const Codes& codes : strategy->most_probable()) EXPECT_TRUE(is_legal(codes));
}

std::string test_name(const ::testing::TestParamInfo<std::string_view>& info) {
  std::string name(info.param);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

std::vector<std::string_view> learning_strategies() {
  std::vector<std::string_view> names;
  for (const std::string_view name : all_names())
    if (strategy_called(name, three_sites())->usable_episodes(100) > 0) names.push_back(name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Strategies, EveryStrategy, ::testing::ValuesIn(all_names()), test_name);
INSTANTIATE_TEST_SUITE_P(Strategies, LearningStrategy, ::testing::ValuesIn(learning_strategies()), test_name);

TEST(Strategies, AllButTheMseOptimumUseTheWholeBudget) {
  for (const std::string_view name : all_names())
    EXPECT_EQ(strategy_called(name, three_sites())->usable_episodes(100), name == "mse" ? 0 : 100) << name;
}

TEST(MseOnly, HoldsTheOptimumOfEverySite) {
  const auto sites = three_sites();
  const auto strategy = strategy_called("mse", sites);
  for (std::size_t l = 0; l < sites.size(); ++l) EXPECT_EQ(strategy->most_probable()[l], sites[l].mse);
}

TEST(RandomSearch, DrawsEveryLegalCodeAlikeOften) {
  const std::vector<SiteData> sites = {site(0, 1, 6)};
  std::map<Codes, int> counts;
  for (const auto& codes : make_random_search(sites, 1)->propose(0, 20000).codes) ++counts[codes[0]];
  std::size_t legal = 0;
  for (std::uint8_t t1 = 1; t1 <= 6; ++t1)
    for (std::uint8_t v1 = 1; v1 <= 6; ++v1)
      for (std::uint8_t t2 = 1; t2 <= 6; ++t2)
        for (std::uint8_t v2 = 1; v2 <= 6; ++v2) legal += is_legal({t1, v1, t2, v2, 6});
  EXPECT_EQ(counts.size(), legal);
  const double expected = 20000.0 / double(legal);
  for (const auto& [codes, count] : counts) EXPECT_NEAR(count, expected, 5 * std::sqrt(expected)) << to_string(codes);
}

TEST(CmaEs, WidensWhenItWalksAndNarrowsWhenItArrives) {
  const auto sites = three_sites();
  const auto strategy = make_cma_es(sites, 0.3, 2);
  const auto spread = [&](std::uint64_t episode) {
    std::set<std::vector<Codes>> distinct;
    for (auto& codes : strategy->propose(episode, 256).codes) distinct.insert(std::move(codes));
    return distinct.size();
  };
  const std::size_t before = spread(1 << 20);
  for (std::uint64_t i = 0; i < 150; ++i) one_iteration(*strategy, sites, i);
  EXPECT_LT(spread(1 << 21), before);
}

TEST(CoordinateSearch, ScoresTheIncumbentAndItsNeighbours) {
  const std::vector<SiteData> sites = {site(0, 1, 60)};
  const auto strategy = make_coordinate_search(sites);
  const auto proposed = strategy->propose(0, 9).codes;
  EXPECT_EQ(proposed[0][0], sites[0].mse);
  std::set<Codes> distinct;
  for (const auto& codes : proposed) {
    distinct.insert(codes[0]);
    const Codes &a = codes[0], &b = sites[0].mse;
    EXPECT_LE(std::abs(a.t1 - b.t1) + std::abs(a.v1 - b.v1) + std::abs(a.t2 - b.t2) + std::abs(a.v2 - b.v2), 1);
  }
  EXPECT_EQ(distinct.size(), 9u);
}

}  // namespace
}  // namespace triseg::testing
