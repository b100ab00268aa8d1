#include "learner/judging/cost_model.hpp"

#include "core/error.hpp"
#include "network/recipes.hpp"

#include <gtest/gtest.h>

namespace triseg {
namespace {

constexpr Codes codes = {2, 4, 6, 8, 9};

/// 16 activations: 4 are 0, 4 more become 0, 4 become v1, 2 become v2, and two of different codes pass.
Histogram sixteen() {
  Histogram h;
  h.counts[0] = 4;
  h.counts[2] = 4;
  h.counts[3] = h.counts[6] = 2;
  h.counts[9] = 2;
  h.counts[10] = h.counts[200] = 1;
  return h;
}

TEST(SiteShares, AreThoseOfTheStaircase) {
  const SiteShares s = site_shares(sixteen(), codes);
  EXPECT_DOUBLE_EQ(s.zero, 8 / 16.0);
  EXPECT_DOUBLE_EQ(s.v1, 4 / 16.0);
  EXPECT_DOUBLE_EQ(s.v2, 2 / 16.0);
  EXPECT_DOUBLE_EQ(s.passed, 2 / 16.0);
  EXPECT_DOUBLE_EQ(s.exact_zero, 4 / 16.0);
  // -sum p log2 p of 8, 4, 2, 1, 1 sixteenths: 8 x 1 + 4 x 2 + 2 x 3 + 2 x 4 bits for 16.
  EXPECT_DOUBLE_EQ(s.entropy_bits, 30 / 16.0);
  EXPECT_DOUBLE_EQ(s.coded_bits, 2 + 8 * 2 / 16.0);
}

TEST(SiteShares, NothingPassesABorderAt255) {
  const SiteShares s = site_shares(sixteen(), {2, 4, 6, 8, 255});
  EXPECT_EQ(s.passed, 0);
  EXPECT_DOUBLE_EQ(s.v2, 4 / 16.0);
  EXPECT_DOUBLE_EQ(s.entropy_bits, 1.5);
}

TEST(SiteShares, AnEmptyHistogramIsRefused) { EXPECT_THROW(site_shares({}, codes), Error); }

Layer convolution(int in, int out, int side, int kernel, int stride, int padding) {
  Layer layer;
  layer.in_channels = in;
  layer.out_channels = out;
  layer.kernel = kernel;
  layer.stride = stride;
  layer.padding = padding;
  layer.in_side = side;
  layer.out_side = layer.pooled_side = (side + 2 * padding - kernel) / stride + 1;
  return layer;
}

TEST(LayerMultiplications, CountNoPadding) {
  // 3 taps a position, at both ends one of them on padding: 4 x 3 - 2 an axis.
  EXPECT_EQ(layer_multiplications(convolution(2, 5, 4, 3, 1, 1)), 10 * 10 * 2 * 5);
  // Positions 0 and 2 of padded 6: -1 0 1 and 1 2 3.
  EXPECT_EQ(layer_multiplications(convolution(1, 1, 4, 3, 2, 1)), 5 * 5);
  EXPECT_EQ(layer_multiplications(convolution(1, 1, 4, 3, 1, 0)), 6 * 6);
}

TEST(LayerMultiplications, WithoutPaddingAreTheNetworksMacs) {
  const Network lenet = make_recipe("lenet5").network;
  double total = 0;
  for (const Layer& layer : lenet.layers) total += layer_multiplications(layer);
  EXPECT_EQ(total, lenet.macs());
  const Network alexnet = make_recipe("alexnet").network;
  total = 0;
  for (const Layer& layer : alexnet.layers) total += layer_multiplications(layer);
  EXPECT_LT(total, alexnet.macs());
}

TEST(LayerEnergy, IsTheSumOfItsOperations) {
  Layer layer;  // fully connected: 64 inputs, 10 outputs, 640 multiplications
  layer.kind = LayerKind::fully_connected;
  layer.in_channels = 64;
  layer.out_channels = 10;
  const EnergyTable table{1, 10, 100, 1000, 6400};  // a bit from SRAM: 100
  const SiteShares s = site_shares(sixteen(), codes);
  const LayerEnergy e = layer_energy(layer, &s, 256, table);  // 256 activations, pooled to 64
  const double weights = 640 * 8 * 100;
  EXPECT_DOUBLE_EQ(e.exact, 640 * (100 + 10) + 64 * 8 * 100 + weights);
  EXPECT_DOUBLE_EQ(e.exact_skipping, 480 * (100 + 10) + 64 * 8 * 100 + weights);
  EXPECT_DOUBLE_EQ(e.staircase, 240 * 10 + 80 * (100 + 10)  // v1 and v2 are added up, passed ones multiplied
                                    + 10 * 2 * (1000 + 10)  // two sums an output
                                    + 256 * 3 * 1           // comparators
                                    + 64 * 3 * 100 + weights);
  const LayerEnergy first = layer_energy(layer, nullptr, 0, table);
  EXPECT_EQ(first.exact, e.exact);
  EXPECT_EQ(first.exact_skipping, e.exact);
  EXPECT_EQ(first.staircase, e.exact);
}

std::vector<SiteData> lenet_sites(std::vector<std::string> names) {
  std::vector<SiteData> sites;
  for (const std::string& name : names) {
    SiteData& site = sites.emplace_back();
    site.name = name;
    site.histogram = sixteen();
  }
  return sites;
}

TEST(NetworkCost, WeighsSitesByTheirActivations) {
  const Network lenet = make_recipe("lenet5").network;  // activations: 6 x 28^2, 16 x 10^2, 120, 84
  const std::vector<SiteData> all = lenet_sites({"conv1", "conv2", "fc1", "fc2"});
  const Codes wide = {2, 4, 6, 8, 255};
  const NetworkCost cost = network_cost(lenet, all, std::vector<Codes>{codes, wide, wide, wide}, {});
  EXPECT_DOUBLE_EQ(cost.coverage, 1 - 4704 / 8.0 / (4704 + 1600 + 120 + 84));
  EXPECT_DOUBLE_EQ(cost.coded_bits, 2 + 4704 / (4704.0 + 1600 + 120 + 84));
  ASSERT_EQ(cost.sites.size(), 4u);
  EXPECT_EQ(cost.sites[0].activations, 4704);
  EXPECT_EQ(cost.sites[0].multiplications, 10 * 10 * 16 * 6 * 25) << "those of conv2";
  EXPECT_EQ(cost.sites[3].multiplications, 84 * 10) << "those of the logits";
  const double behind = 240000 + 400 * 120 + 120 * 84 + 84 * 10, first = 28 * 28 * 6 * 3 * 25;
  EXPECT_DOUBLE_EQ(cost.multiplications, behind + first);
  EXPECT_DOUBLE_EQ(cost.skipped, behind / 2 / (behind + first)) << "conv1 reads the image";
  EXPECT_LT(cost.energy.staircase, cost.energy.exact_skipping);
  EXPECT_LT(cost.energy.exact_skipping, cost.energy.exact);
}

TEST(NetworkCost, SitesLeftOutAreExactAndUncovered) {
  const Network lenet = make_recipe("lenet5").network;
  const Codes wide = {2, 4, 6, 8, 255};
  const NetworkCost cost = network_cost(lenet, lenet_sites({"fc1"}), std::vector<Codes>{wide}, {});
  EXPECT_DOUBLE_EQ(cost.coverage, 120.0 / (4704 + 1600 + 120 + 84));
  EXPECT_DOUBLE_EQ(cost.entropy_bits, 1.5);
  EXPECT_DOUBLE_EQ(cost.skipped * cost.multiplications, 120 * 84 / 2.0);
  const LayerEnergy fc2 = cost.sites[0].energy;
  EXPECT_NEAR(cost.energy.exact - cost.energy.staircase, fc2.exact - fc2.staircase, 1e-6);
  EXPECT_THROW(network_cost(lenet, lenet_sites({"conv9"}), std::vector<Codes>{wide}, {}), Error);
}

}  // namespace
}  // namespace triseg
