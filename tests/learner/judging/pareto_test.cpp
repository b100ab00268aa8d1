#include "learner/judging/pareto.hpp"
#include "network/recipes.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace triseg {
namespace {

constexpr Objectives middle = {0.9, 0.10, 90, 500};

TEST(Dominates, NeedsAllAndOneStrictly) {
  EXPECT_FALSE(dominates(middle, middle));
  EXPECT_TRUE(dominates({0.95, 0.10, 90, 500}, middle)) << "more coverage";
  EXPECT_TRUE(dominates({0.9, 0.09, 90, 500}, middle)) << "less KD";
  EXPECT_TRUE(dominates({0.9, 0.10, 91, 500}, middle)) << "more accuracy";
  EXPECT_TRUE(dominates({0.9, 0.10, 90, 499}, middle)) << "less energy";
  EXPECT_FALSE(dominates({0.95, 0.11, 91, 499}, middle));
  EXPECT_FALSE(dominates({0.89, 0.09, 91, 499}, middle));
  EXPECT_FALSE(dominates({0.95, 0.09, 89, 499}, middle));
  EXPECT_FALSE(dominates({0.95, 0.09, 91, 501}, middle));
}

TEST(NonDominated, KeepsTradeOffsOnceAndInOrder) {
  const std::vector<Objectives> candidates = {
      {0.8, 0.20, 89, 600},  // beaten by the next
      middle,
      {0.99, 0.30, 80, 300},  // covers more
      middle,                 // equal to an earlier one
      {0.5, 0.01, 92, 900},   // closest
      {0.5, 0.02, 92, 900},   // beaten by the last but one
  };
  EXPECT_EQ(non_dominated(candidates), (std::vector<std::size_t>{1, 2, 4}));
  EXPECT_TRUE(non_dominated({}).empty());
}

TEST(ParetoCsv, HoldsTheFrontOfTheFinalists) {
  RunData run;
  run.network = make_recipe("lenet5").network;
  run.sites.resize(1);
  run.sites[0].name = "fc1";
  run.sites[0].tmax = 9;
  run.sites[0].histogram.counts = {4, 3, 2, 1};
  const auto candidate = [](std::string origin, double kd, Codes codes) {
    return Candidate{std::move(origin), 7, 0, {kd * 100, 0, 100, 90, 5, 2}, {codes}, {}};
  };
  // The same codes twice with less and more KD: the second is beaten. The third makes more zeros and so needs less
  // energy.
  run.top = {candidate("episode", 0.25, {1, 2, 3, 4, 9}), candidate("init", 0.5, {1, 2, 3, 4, 9}),
             candidate("mse", 0.75, {2, 3, 4, 5, 9})};
  const std::string csv = pareto_csv(run);
  const std::string start =
      "top_index,origin,episode,coverage,passed,validation_kd,validation_accuracy,energy_pj,fc1\n0,episode,7,0.0184";
  EXPECT_EQ(csv.substr(0, start.size()), start) << csv << "120 of 6508 activations are covered";
  EXPECT_NE(csv.find(",0.25,92,"), std::string::npos) << csv;
  EXPECT_NE(csv.find(",1 2 3 4 9\n2,mse,,0.0184"), std::string::npos) << csv;
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 3);
  // Figures of fewer images do not compare with those of all: a third that was dropped is not on the front.
  run.top[2].validation.images = 50;
  EXPECT_EQ(pareto_csv(run).find("2,mse"), std::string::npos);
}

}  // namespace
}  // namespace triseg
