#include "learner/strategies/initial_codes.hpp"

#include "core/error.hpp"
#include "core/philox.hpp"
#include "network/readings.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace triseg {
namespace {

Histogram falling_histogram(std::uint64_t seed, int largest) {
  Histogram h;
  for (int q = 0; q <= largest; ++q)
    h.counts[q] = uniform_below(2000, seed, Stream::self_test, q) * std::uint64_t(largest + 1 - q) / (largest + 1);
  h.counts[0] += 5000;
  return h;
}

TEST(InitialCodes, AreFifthsOfTmax) {
  EXPECT_EQ(initial_codes(35), (Codes{7, 14, 21, 28, 35}));
  EXPECT_EQ(initial_codes(255), (Codes{51, 102, 153, 204, 255}));
}

TEST(InitialCodes, AreLegalForEveryTmax) {
  for (int tmax = smallest_tmax; tmax <= 255; ++tmax) EXPECT_TRUE(is_legal(initial_codes(tmax))) << tmax;
}

TEST(MseOptimum, EqualsBruteForceOverAllLegalCodes) {
  for (std::uint64_t seed : {1, 2, 3}) {
    for (int tmax : {3, 4, 7, 18}) {
      const Histogram h = falling_histogram(seed, 40);
      std::int64_t least = std::numeric_limits<std::int64_t>::max();
      for (int t1 = 1; t1 <= tmax; ++t1)
        for (int v1 = t1 + 1; v1 <= tmax; ++v1)
          for (int t2 = v1; t2 <= tmax; ++t2)
            for (int v2 = t2 + 1; v2 <= tmax; ++v2)
              least = std::min(least, squared_error(h, {std::uint8_t(t1), std::uint8_t(v1), std::uint8_t(t2),
                                                        std::uint8_t(v2), std::uint8_t(tmax)}));
      const Codes found = mse_optimum(h, tmax);
      EXPECT_TRUE(is_legal(found));
      EXPECT_EQ(squared_error(h, found), least) << "seed " << seed << ", tmax " << tmax;
    }
  }
}

TEST(MseOptimum, PutsTheLevelsOnThreeSpikes) {
  Histogram h;
  h.counts[0] = 100;
  h.counts[20] = 50;
  h.counts[60] = 30;
  const Codes c = mse_optimum(h, 100);
  EXPECT_EQ(squared_error(h, c), 0);
  EXPECT_EQ(c.v1, 20);
  EXPECT_EQ(c.v2, 60);
}

TEST(SquaredError, PassesLargeCodes) {
  Histogram h;
  h.counts[200] = 7;
  EXPECT_EQ(squared_error(h, {1, 2, 2, 3, 3}), 0);
  EXPECT_EQ(squared_error(h, {1, 2, 2, 3, 255}), 7 * 197 * 197);
}

TEST(Tmax, FollowsTheRule) {
  Histogram h;
  h.counts[0] = 1000000;
  for (int q = 1; q <= 100; ++q) h.counts[q] = 10;
  EXPECT_EQ((TmaxRule{TmaxMode::percentile, 90, 10, 0}).tmax(h), 100);
  EXPECT_EQ((TmaxRule{TmaxMode::percentile, 50, -5, 0}).tmax(h), 45);
  EXPECT_EQ((TmaxRule{TmaxMode::percentile, 1, 0, 0}).tmax(h), 15) << "at least 15";
  EXPECT_EQ((TmaxRule{TmaxMode::percentile, 100, 200, 0}).tmax(h), 255) << "at most 255";
  EXPECT_EQ((TmaxRule{TmaxMode::fixed, 90, 10, 77}).tmax(h), 77);
  EXPECT_EQ((TmaxRule{}).label(), "p90+10");
  EXPECT_EQ((TmaxRule{TmaxMode::percentile, 99.5, -3, 0}).label(), "p99.5-3");
}

TEST(SiteState, IsIndexMeanDeviationAndPercentile) {
  Histogram h;
  h.counts[0] = 50;
  h.counts[51] = 50;
  const auto state = site_state(h, 2, 5);
  EXPECT_DOUBLE_EQ(state[0], 0.5);
  EXPECT_DOUBLE_EQ(state[1], 25.5 / 255);
  EXPECT_DOUBLE_EQ(state[2], 25.5 / 128);
  EXPECT_DOUBLE_EQ(state[3], 51.0 / 255);
  EXPECT_EQ(site_state(h, 0, 1)[0], 0.0) << "one site: no division by zero";
}

TEST(MeanWeight, IsTheRatioOfTheTwoSums) {
  QuantizedNetwork n;
  n.network.name = "two";
  n.network.input = {1, 1, 1};
  n.network.classes = 2;
  Node site, reader;
  site.name = "site";
  site.inputs = {image_value};
  site.shape.channels = 2;
  site.relu = true;
  reader.name = "reader";
  reader.inputs = {0};
  reader.shape.channels = 2;
  n.network.nodes = {site, reader};
  connect(n.network);
  n.nodes.resize(2);
  n.nodes[1].weights = {3, 1, -2, 2};  // two channels of two inputs
  n.nodes[1].requantization.multiplier = {1.0f, 0.5f};
  const std::vector<std::size_t> sites = {0};
  // ((3 + 1)^2 + 0.25 * 0) / ((9 + 1) + 0.25 * (4 + 4))
  EXPECT_DOUBLE_EQ(mean_weight(n, 0, sites), 16.0 / 12.0);
  n.nodes[1].weights = {1, -1, 1, -1};
  EXPECT_DOUBLE_EQ(mean_weight(n, 0, sites), 1.0) << "the mean weighs no less than it does in a square error";
}

/// Two sites of one channel that are concatenated, averaged over 4 positions, and read by 2 groups; the second is read
/// by a convolution of its own, too.
TEST(MeanWeight, IsThatOfAllReadersOfASitesOwnChannels) {
  QuantizedNetwork n;
  n.network.name = "branches";
  n.network.input = {1, 2, 2};
  n.network.classes = 2;
  const auto add = [&](const char* name, Operation operation, std::vector<int> inputs, int channels, bool relu) {
    Node& node = n.network.nodes.emplace_back();
    node.name = name;
    node.operation = operation;
    node.inputs = std::move(inputs);
    node.shape.channels = channels;
    node.relu = relu;
  };
  add("a", Operation::convolution, {image_value}, 1, true);
  add("b", Operation::convolution, {image_value}, 1, true);
  add("both", Operation::concatenate, {0, 1, 0, 1}, 0, false);
  add("mean", Operation::average, {2}, 0, false);
  n.network.nodes[3].window.height = n.network.nodes[3].window.width = 2;
  add("grouped", Operation::convolution, {3}, 2, false);
  n.network.nodes[4].groups = 2;
  add("own", Operation::convolution, {1}, 2, false);
  n.network.nodes[5].window.height = n.network.nodes[5].window.width = 2;
  add("sum", Operation::add, {4, 5}, 0, false);
  connect(n.network);
  n.nodes.resize(7);
  n.nodes[4].weights = {2, 5, 3, 7};  // (2, 2, 1, 1): each group takes a and b
  n.nodes[4].requantization.multiplier = {1, 1};
  n.nodes[5].weights = {1, 1, 1, 1, 0, 0, 0, 1};
  n.nodes[5].requantization.multiplier = {1, 2};
  const std::vector<std::size_t> sites = {0, 1};
  // a is read twice, as channels 0 and 2 of the concatenation: 2 by the first group, 3 by the second.
  EXPECT_DOUBLE_EQ(mean_weight(n, 0, sites), (4 + 9) / ((4 + 9) / 4.0));
  EXPECT_DOUBLE_EQ(mean_weight(n, 1, sites), (25 + 49 + 16 + 4 * 1) / ((25 + 49) / 4.0 + 4 + 4 * 1));
}

/// A site whose averages and maxima are added up again and again: 2^40 ways lead to one convolution.
TEST(MeanWeight, CountsAReaderOnceHoweverManyWaysLeadToIt) {
  QuantizedNetwork n;
  n.network.name = "diamonds";
  n.network.input = {1, 4, 4};
  n.network.classes = 1;
  const auto add = [&](Operation operation, std::vector<int> inputs, int side) {
    Node& node = n.network.nodes.emplace_back();
    node.name = fmt::format("n{}", n.network.nodes.size());
    node.operation = operation;
    node.inputs = std::move(inputs);
    node.shape.channels = 1;
    node.window.height = node.window.width = side;
    if (side == 3) node.window.pad_top = node.window.pad_left = node.window.pad_bottom = node.window.pad_right = 1;
    return static_cast<int>(n.network.nodes.size()) - 1;
  };
  int last = add(Operation::convolution, {image_value}, 1);
  n.network.nodes[0].relu = true;
  for (int i = 0; i < 40; ++i) {
    const int average = add(Operation::average, {last}, 3), maximum = add(Operation::maximum, {last}, 3);
    last = add(Operation::add, {average, maximum}, 1);
  }
  add(Operation::convolution, {last}, 4);
  connect(n.network);
  n.nodes.resize(n.network.nodes.size());
  n.nodes.back().weights.assign(16, 1);
  n.nodes.back().requantization.multiplier = {1};
  const std::vector<std::size_t> sites = {0};
  ASSERT_EQ(readings(n.network, 0, sites).size(), 1u);
  EXPECT_EQ(readings(n.network, 0, sites)[0].averaged, 1) << "through the maxima alone";
  EXPECT_DOUBLE_EQ(mean_weight(n, 0, sites), 16 * 16 / 16.0);
}

TEST(BalancedOptimum, IsTheBestOfAllLegalCodes) {
  Histogram h;
  for (int q = 0; q < 256; ++q) h.counts[q] = q < 16 ? 400 / (q + 1) + 7 * (q % 3) : 0;
  const double n = double(h.total());
  for (const double weight : {1.0, 4.0, 100.0, 7000.0}) {
    const auto cost = [&](const Codes& codes) {
      const Table table = staircase(codes);
      double sum = 0;
      for (int q = 0; q < 256; ++q) sum += double(h.counts[q]) * (table[q] - q);
      return double(squared_error(h, codes)) / n + (weight - 1) * (sum / n) * (sum / n);
    };
    double least = 1e300;
    for (int t1 = 1; t1 < 14; ++t1)
      for (int v1 = t1 + 1; v1 < 16; ++v1)
        for (int t2 = v1; t2 < 15; ++t2)
          for (int v2 = t2 + 1; v2 < 16; ++v2)
            least = std::min(least, cost({std::uint8_t(t1), std::uint8_t(v1), std::uint8_t(t2), std::uint8_t(v2), 15}));
    EXPECT_NEAR(cost(balanced_optimum(h, 15, weight)), least, 1e-12 * least) << weight;
  }
  EXPECT_EQ(squared_error(h, balanced_optimum(h, 15, 1)), squared_error(h, mse_optimum(h, 15)));
}

}  // namespace
}  // namespace triseg
