// Gradient descent on codes, on the toy problem, whose gradient is a formula.
#include "learner/strategies/ste.hpp"

#include "core/error.hpp"
#include "learner/judging/shares.hpp"
#include "learner/strategies/strategies.hpp"
#include "tests/learner/strategies/toy_problem.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace triseg::testing {
namespace {

/// The loss -toy_reward, and where tmax is searched the distance of every other tmax to 12 codes above the start's.
GradientSource toy_gradients(const std::vector<SiteData>& sites, std::vector<std::uint64_t>* steps = nullptr) {
  return {[sites, steps](std::uint64_t step, std::span<const Codes> codes) {
            if (steps) steps->push_back(step);
            CodesGradient result{-toy_reward(sites, {codes.begin(), codes.end()}), {}};
            for (std::size_t l = 0; l < sites.size(); ++l) {
              result.by_code.emplace_back();
              const auto by = [&](Head head) -> double& { return result.by_code[l][static_cast<std::size_t>(head)]; };
              by(Head::v1) = 2 * (codes[l].v1 - (sites[l].mse.v1 + 3.0));
              if (sites[l].tmax_searched && l == 0) by(Head::tmax) = codes[l].tmax - (sites[l].tmax + 12.0);
            }
            return result;
          },
          32};
}

std::unique_ptr<Strategy> make(const std::vector<SiteData>& sites, std::vector<std::uint64_t>* steps = nullptr) {
  return make_strategy({.kind = StrategyKind::ste}, sites, 5, toy_gradients(sites, steps));
}

TEST(Ste, FollowsTheGradientToTheBestLegalCodes) {
  const auto sites = three_sites();
  const auto strategy = make(sites);
  EXPECT_LT(toy_reward(sites, strategy->most_probable()), -20);
  for (std::uint64_t i = 0; i < 100; ++i)
    for (const auto& codes : strategy->propose(i * 4, 4).codes)
      for (std::size_t l = 0; l < sites.size(); ++l) {
        ASSERT_TRUE(is_legal(codes[l])) << to_string(codes[l]);
        ASSERT_EQ(codes[l].tmax, sites[l].tmax);
      }
  // v1 ends at the optimum, or at t2 where that is lower.
  for (std::size_t l = 0; l < sites.size(); ++l) {
    const Codes best = strategy->most_probable()[l];
    EXPECT_NEAR(best.v1, std::min<int>(sites[l].mse.v1 + 3, best.t2), 1) << l;
  }
}

TEST(Ste, TakesAStepsImagesFromTheBudget) {
  std::vector<std::uint64_t> steps;
  const auto strategy = make(three_sites(), &steps);
  EXPECT_EQ(strategy->usable_episodes(10'000), 625u);
  EXPECT_EQ(budget_of_an_episode(StrategyKind::ste), 16u);
  EXPECT_EQ(episodes_of(StrategyKind::ste, 64), 4u);
  EXPECT_EQ(episodes_of(StrategyKind::ste, 3), 1u);
  EXPECT_EQ(strategy->propose(0, 4).student_images, 4 * 15 * 32u);
  strategy->propose(4, 1);
  ASSERT_EQ(steps.size(), 5 * 15u);
  for (std::size_t i = 0; i < steps.size(); ++i) EXPECT_EQ(steps[i], i);
}

TEST(Ste, ContinuesFromACheckpointToTheSameCodes) {
  for (const auto& sites : {three_sites(), three_sites_of_searched_tmax()}) {
    const auto whole = make(sites), first = make(sites), second = make(sites);
    for (std::uint64_t i = 0; i < 6; ++i) one_iteration(*whole, sites, i, 4);
    const Update update = one_iteration(*first, sites, 0, 4);
    for (std::uint64_t i = 1; i < 3; ++i) one_iteration(*first, sites, i, 4);
    Checkpoint checkpoint, a, b;
    first->save(checkpoint);
    second->restore(checkpoint);
    for (std::uint64_t i = 3; i < 6; ++i) one_iteration(*second, sites, i, 4);
    EXPECT_GT(update.policy_loss, 0) << "the mean loss of the steps";
    whole->save(a);
    second->save(b);
    EXPECT_EQ(a.optimizer_steps, b.optimizer_steps);
    for (const auto& [name, tensor] : a.tensors) EXPECT_EQ(tensor.values, b.tensors.at(name).values) << name;
    EXPECT_EQ(second->propose(100, 4).codes, whole->propose(100, 4).codes);
    checkpoint.tensors.begin()->second.shape.push_back(1);
    EXPECT_THROW(second->restore(checkpoint), Error);
  }
}

TEST(Ste, DividesTheShareThatMayPassAmongSites) {
  const auto sites = three_sites_of_searched_tmax();
  std::vector<Codes> starts;
  for (const SiteData& site : sites) starts.push_back(site.start);
  const auto strategy = make(sites);
  std::vector<Codes> codes;
  for (std::uint64_t i = 0; i < 300; ++i) {
    codes = strategy->propose(i * 4, 4).codes.back();
    ASSERT_LE(passed_share(sites, codes), passed_share(sites, starts));
    for (const Codes& c : codes) ASSERT_TRUE(is_legal(c)) << to_string(c);
  }
  EXPECT_GE(codes[0].tmax, sites[0].tmax + 10);
  EXPECT_LT(codes[1].tmax, sites[1].tmax);
}

TEST(Ste, NeedsGradients) { EXPECT_THROW(make_strategy({.kind = StrategyKind::ste}, three_sites(), 5), Error); }

}  // namespace
}  // namespace triseg::testing
