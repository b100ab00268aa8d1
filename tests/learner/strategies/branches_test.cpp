// Searching tmax at given coverages: what passes, whose turn it is, and what a resume needs.
#include "core/error.hpp"
#include "learner/strategies/branches.hpp"
#include "learner/strategies/pass_target.hpp"
#include "learner/judging/shares.hpp"
#include "tests/learner/strategies/toy_problem.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace triseg::testing {
namespace {

std::vector<Codes> initial(const std::vector<SiteData>& sites) {
  std::vector<Codes> codes;
  for (const SiteData& site : sites) codes.push_back(site.init);
  return codes;
}

TEST(PassTarget, PassedShareIsThatOfTheCountsAboveTmax) {
  std::vector<SiteData> sites{site(0, 2, 10), site(1, 2, 20)};
  for (SiteData& s : sites) s.histogram.counts.fill(1);
  sites[1].histogram.counts[21] = 235;
  // 245 of 256 and 469 of 490 counts are above tmax.
  EXPECT_DOUBLE_EQ(passed_share(sites, initial(sites)), (245.0 + 469.0) / (256 + 490));
}

TEST(PassTarget, IsMetByTheLeastCommonMove) {
  const auto sites = three_sites_of_searched_tmax();
  for (const double passed : {0.5, 0.1, 0.02, 0.001}) {
    const auto codes = PassTarget(sites, passed).meet(initial(sites));
    EXPECT_LE(passed_share(sites, codes), passed);
    for (std::size_t l = 0; l < codes.size(); ++l) {
      EXPECT_TRUE(is_legal(codes[l])) << to_string(codes[l]);
      const int move = codes[2].tmax - sites[2].tmax;
      EXPECT_EQ(codes[l].tmax, std::clamp(sites[l].tmax + move, smallest_tmax, 255)) << passed;
    }
    auto lower = codes;
    for (Codes& c : lower) c.tmax = std::uint8_t(std::max(smallest_tmax, c.tmax - 1));
    EXPECT_GT(passed_share(sites, lower), passed) << "one code less lets too many pass";
  }
}

TEST(PassTarget, OfWhatPassesMovesNothing) {
  for (std::uint64_t total = 1000; total < 1400; ++total) {  // n / total times total is not n for some of them
    std::vector<SiteData> sites{site(0, 1, 35)};
    sites[0].histogram.counts.fill(0);
    sites[0].histogram.counts[36] = 21;
    sites[0].histogram.counts[1] = total - 21;
    const auto codes = initial(sites);
    EXPECT_EQ(PassTarget(sites, passed_share(sites, codes)).meet(codes)[0].tmax, 3)
        << "less may be covered: 21 pass under any tmax";
    sites[0].histogram.counts[35] = 100;
    EXPECT_EQ(PassTarget(sites, passed_share(sites, codes)).meet(codes), codes) << total;
  }
}

TEST(PassTarget, OfNothingIsTheLargestCode) {
  const auto sites = three_sites_of_searched_tmax();
  for (const Codes& c : PassTarget(sites, 0).meet(initial(sites))) EXPECT_EQ(c.tmax, 255);
}

class BranchesTest : public ::testing::Test {
 protected:
  std::vector<SiteData> sites_ = three_sites_of_searched_tmax();
  std::vector<double> shares_ = {0, 0.01, 0.1};

  std::vector<Branch> branches(bool started = true) const {
    std::vector<Branch> all;
    for (const double passed : shares_) {
      all.push_back(make_branch(sites_, passed));
      for (SiteData& site : all.back().sites) site.start = started ? site.mse : Codes{};
    }
    return all;
  }
  std::unique_ptr<Strategy> make(StrategyKind kind = StrategyKind::ppo) const {
    return make_branches({.kind = kind}, branches(), 3);
  }
};

TEST_F(BranchesTest, TakeTurnsAndKeepTheirShare) {
  for (const auto& [name, kind] : strategy_names) {
    if (kind == StrategyKind::ste) continue;  // it needs gradients: ste_test.cpp
    const auto searches = make(kind);
    for (std::uint64_t i = 0; i < 7; ++i) {
      const double passed = shares_[i % 3];
      for (const auto& codes : searches->propose(i * 32, 32).codes) {
        EXPECT_LE(passed_share(sites_, codes), passed) << name;
        EXPECT_GE(passed_share(sites_, codes), 0.5 * passed) << name;
        for (const Codes& c : codes) EXPECT_TRUE(is_legal(c)) << name << " " << to_string(c);
      }
      EXPECT_EQ(one_iteration(*searches, sites_, i, 32).branch, i % 3) << name;
      EXPECT_LE(passed_share(sites_, searches->most_probable()), passed)
          << name << ": the codes of the branch whose turn it was";
    }
  }
}

TEST_F(BranchesTest, HoldCodesForEach) {
  const auto codes = make()->incumbents();
  ASSERT_EQ(codes.size(), 3u);
  for (std::size_t r = 0; r < 3; ++r) EXPECT_LE(passed_share(sites_, codes[r]), shares_[r]);
  EXPECT_NE(codes[1], codes[2]);
}

TEST_F(BranchesTest, LearnApart) {
  const auto searches = make(), untaught = make();
  one_iteration(*searches, sites_, 0);
  EXPECT_EQ(searches->incumbents()[1], untaught->incumbents()[1]);
  for (std::uint64_t i = 1; i < 60; ++i) one_iteration(*searches, sites_, i);
  for (std::size_t r = 0; r < 3; ++r)
    EXPECT_GT(toy_reward(sites_, searches->incumbents()[r]), toy_reward(sites_, untaught->incumbents()[r])) << r;
}

TEST_F(BranchesTest, ContinueFromACheckpointToTheSameCodes) {
  for (const auto& [name, kind] : strategy_names) {
    if (kind == StrategyKind::ste) continue;  // it needs gradients: ste_test.cpp
    const auto whole = make(kind), first = make(kind);
    for (std::uint64_t i = 0; i < 8; ++i) one_iteration(*whole, sites_, i);
    for (std::uint64_t i = 0; i < 5; ++i) one_iteration(*first, sites_, i);
    Checkpoint checkpoint;
    first->save(checkpoint);
    checkpoint.next_iteration = 5;
    auto again = branches(false);
    restore_starts(checkpoint, again);
    EXPECT_EQ(again[1].sites[2].start, branches()[1].sites[2].start);
    const auto second = make_branches({.kind = kind}, std::move(again), 3);
    second->restore(checkpoint);
    for (std::uint64_t i = 5; i < 8; ++i) one_iteration(*second, sites_, i);
    EXPECT_EQ(second->incumbents(), whole->incumbents()) << name;
    EXPECT_EQ(second->propose(1000, 64).codes, whole->propose(1000, 64).codes) << name;
  }
}

TEST_F(BranchesTest, RefuseACheckpointWithoutTheirStarts) {
  auto again = branches();
  EXPECT_THROW(restore_starts({}, again), Error);
}

}  // namespace
}  // namespace triseg::testing
