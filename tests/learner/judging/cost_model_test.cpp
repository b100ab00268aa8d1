#include "learner/judging/cost_model.hpp"

#include "core/error.hpp"
#include "network/network.hpp"
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

Node node(std::string name, Operation operation, std::vector<int> inputs, int channels = 0, int window = 1) {
  Node made;
  made.name = std::move(name);
  made.operation = operation;
  made.inputs = std::move(inputs);
  made.shape.channels = channels;
  made.window.height = made.window.width = window;
  return made;
}

/// The multiplications of one convolution of a square image.
double multiplications_of(int in, int out, int side, int kernel, int stride, int padding, int groups = 1) {
  Network n;
  n.name = "one";
  n.input = {in, side, side};
  n.nodes = {node("c", Operation::convolution, {image_value}, out, kernel)};
  Window& w = n.nodes[0].window;
  w.stride_y = w.stride_x = stride;
  w.pad_top = w.pad_left = w.pad_bottom = w.pad_right = padding;
  n.nodes[0].groups = groups;
  connect_node(n, 0);
  return multiplications(n, n.nodes[0]);
}

TEST(Multiplications, CountNoPadding) {
  // 3 taps a position, at both ends one of them on padding: 4 x 3 - 2 an axis.
  EXPECT_EQ(multiplications_of(2, 5, 4, 3, 1, 1), 10 * 10 * 2 * 5);
  // Positions 0 and 2 of padded 6: -1 0 1 and 1 2 3.
  EXPECT_EQ(multiplications_of(1, 1, 4, 3, 2, 1), 5 * 5);
  EXPECT_EQ(multiplications_of(1, 1, 4, 3, 1, 0), 6 * 6);
  EXPECT_EQ(multiplications_of(4, 8, 4, 3, 1, 0, 4), 6 * 6 * 8) << "each output channel takes one input channel";
}

TEST(Multiplications, WithoutPaddingAreTheNetworksMacs) {
  const auto total = [](const Network& n) {
    double sum = 0;
    for (const Node& each : n.nodes)
      if (each.operation == Operation::convolution) sum += multiplications(n, each);
    return sum;
  };
  const Network lenet = make_recipe("lenet5").network, alexnet = make_recipe("alexnet").network;
  EXPECT_EQ(total(lenet), lenet.macs());
  EXPECT_LT(total(alexnet), alexnet.macs());
}

TEST(ConvolutionEnergy, IsTheSumOfItsOperations) {
  Network n;  // 64 inputs, 10 outputs, 640 multiplications
  n.name = "one";
  n.input = {16, 2, 2};
  n.nodes = {node("fc", Operation::convolution, {image_value}, 10, 2)};
  connect_node(n, 0);
  const auto energy = [&](const SiteShares* shares, double activations, const EnergyTable& table) {
    return convolution_energy(n, n.nodes[0], 16, shares, activations, table);
  };
  const EnergyTable table{1, 10, 100, 1000, 6400};  // a bit from SRAM: 100
  const SiteShares s = site_shares(sixteen(), codes);
  const NodeEnergy e = energy(&s, 256, table);  // 256 activations, pooled to 64
  const double weights = 640 * 8 * 100;
  EXPECT_DOUBLE_EQ(e.exact, 640 * (100 + 10) + 64 * 8 * 100 + weights);
  EXPECT_DOUBLE_EQ(e.exact_skipping, 480 * (100 + 10) + 64 * 8 * 100 + weights);
  EXPECT_DOUBLE_EQ(e.staircase, 240 * 10 + 80 * (100 + 10)  // v1 and v2 are added up, passed ones multiplied
                                    + 10 * 2 * (1000 + 10)  // two sums an output
                                    + 256 * 3 * 1           // comparators
                                    + 64 * 3 * 100 + weights);
  const NodeEnergy first = energy(nullptr, 0, table);
  EXPECT_EQ(first.exact, e.exact);
  EXPECT_EQ(first.exact_skipping, e.exact);
  EXPECT_EQ(first.staircase, e.exact);
}

std::vector<SiteData> sites_of(std::vector<std::string> names) {
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
  const std::vector<SiteData> all = sites_of({"conv1", "conv2", "fc1", "fc2"});
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
  const NetworkCost cost = network_cost(lenet, sites_of({"fc1"}), std::vector<Codes>{wide}, {});
  EXPECT_DOUBLE_EQ(cost.coverage, 120.0 / (4704 + 1600 + 120 + 84));
  EXPECT_DOUBLE_EQ(cost.entropy_bits, 1.5);
  EXPECT_DOUBLE_EQ(cost.skipped * cost.multiplications, 120 * 84 / 2.0);
  const NodeEnergy fc2 = cost.sites[0].energy;
  EXPECT_NEAR(cost.energy.exact - cost.energy.staircase, fc2.exact - fc2.staircase, 1e-6);
  EXPECT_THROW(network_cost(lenet, sites_of({"conv9"}), std::vector<Codes>{wide}, {}), Error);
}

/// Site a is read by b and, beside site b, by d through a concatenation and a pool; an addition reads both, too.
Network branched() {
  Network n;
  n.name = n.display_name = "branched";
  n.input = {1, 4, 4};
  n.classes = 2;
  n.nodes = {node("a", Operation::convolution, {image_value}, 3), node("b", Operation::convolution, {0}, 3),
             node("both", Operation::concatenate, {0, 1}),        node("pool", Operation::maximum, {2}, 0, 2),
             node("d", Operation::convolution, {3}, 5),           node("sum", Operation::add, {0, 1}),
             node("mean", Operation::average, {5}, 0, 4),         node("shifted", Operation::convolution, {6}, 5),
             node("flat", Operation::average, {4}, 0, 3),         node("joined", Operation::add, {8, 7}),
             node("logits", Operation::convolution, {9}, 2)};
  for (const std::size_t site : {0, 1}) n.nodes[site].relu = true;
  connect(n);
  return n;
}

TEST(NetworkCost, CountsEachConvolutionThatReadsASite) {
  const Network n = branched();
  const Codes wide = {2, 4, 6, 8, 255};
  const EnergyTable only_multiplications{0, 0, 1, 0, 0};
  const NetworkCost cost = network_cost(n, sites_of({"a", "b"}), std::vector<Codes>{codes, wide}, only_multiplications);
  // d takes 9 positions, 3 channels of each site, 5 outputs.
  EXPECT_EQ(cost.sites[0].multiplications, 16 * 3 * 3 + 9 * 3 * 5) << "of b and of d";
  EXPECT_EQ(cost.sites[1].multiplications, 9 * 3 * 5) << "of d; the addition multiplies nothing";
  const double all = 16 * 3 + 16 * 9 + 9 * 6 * 5 + 3 * 5 + 5 * 2;
  EXPECT_DOUBLE_EQ(cost.multiplications, all);
  EXPECT_DOUBLE_EQ(cost.energy.exact, all);
  // Of a's activations 1 / 8 passes, of b's none.
  EXPECT_DOUBLE_EQ(cost.energy.staircase, 16 * 3 + (16 * 9 + 9 * 15) / 8.0 + 3 * 5 + 5 * 2);
  EXPECT_DOUBLE_EQ(cost.coverage, (7 / 8.0 + 1) / 2);
}

TEST(NetworkCost, HasNoSharesOfMultiplicationsWithoutAConvolution) {
  Network n;
  n.name = n.display_name = "sum";
  n.input = {2, 1, 1};
  n.classes = 2;
  n.nodes = {node("a", Operation::add, {image_value, image_value}), node("logits", Operation::add, {0, image_value})};
  n.nodes[0].relu = true;
  connect(n);
  const NetworkCost cost = network_cost(n, sites_of({"a"}), std::vector<Codes>{codes}, {});
  EXPECT_EQ(cost.multiplications, 0);
  EXPECT_EQ(cost.skipped, 0);
  EXPECT_EQ(cost.constant, 0);
  EXPECT_DOUBLE_EQ(cost.coverage, 7 / 8.0);
}

TEST(NetworkCost, AdditionsReadAndAddWhateverStaircasesMake) {
  const Network n = branched();
  const Codes wide = {2, 4, 6, 8, 255};
  const EnergyTable reads{0, 0, 0, 0, 64};  // a bit: 1
  const NetworkCost none = network_cost(n, sites_of({"a"}), std::vector<Codes>{wide}, reads);
  // Inputs: a 16, b 48, d 54, shifted 3, logits 5 codes; weights 3 + 9 + 30 + 15 + 10; sum 48 + 48, mean 48, flat 45,
  // joined 5 + 5.
  EXPECT_DOUBLE_EQ(none.energy.exact, 8 * (16 + 48 + 54 + 3 + 5 + 67 + 96 + 48 + 45 + 10));
  // At 2 bits: what b, d and the sum read of a, that is 48, 27 and 48 codes.
  EXPECT_DOUBLE_EQ(none.energy.exact - none.energy.staircase, 6 * (48 + 27 + 48));
  const EnergyTable additions{0, 1, 0, 0, 0};
  const NetworkCost added = network_cost(n, sites_of({"a"}), std::vector<Codes>{wide}, additions);
  EXPECT_DOUBLE_EQ(added.energy.exact, added.multiplications + 48 + 48 + 45 + 5) << "sum, mean, flat, joined";
}

}  // namespace
}  // namespace triseg
