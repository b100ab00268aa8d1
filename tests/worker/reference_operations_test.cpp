// The reference loops against numbers worked out by hand.
#include "worker/reference_operations.hpp"

#include "tests/worker/random_graph.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

namespace triseg::testing {
namespace {

using ::testing::ElementsAre;

/// One node behind the image, or behind the image and a constant, with scales of 1 where nothing else is said.
struct OneNode {
  QuantizedNetwork network;

  OneNode(Shape input, Node node, QuantizedNode numbers) {
    network.network.input = input;
    network.input = {1.0, 0};
    network.network.nodes = {std::move(node)};
    network.nodes = {std::move(numbers)};
    network.network.nodes[0].inputs = {image_value};
    network.network.nodes[0].name = "node";
    connect_node(network.network, 0);
  }

  std::vector<std::uint8_t> operator()(std::vector<std::uint8_t> image) const {
    std::vector<int> positions(network.network.nodes[0].shape.positions());
    std::iota(positions.begin(), positions.end(), 0);
    const std::vector<std::span<const std::uint8_t>> inputs(network.network.nodes[0].inputs.size(), image);
    return reference_node(network, 0, inputs, network.nodes[0].requantization, positions).codes;
  }
};

Node pool(Operation operation, Window window) {
  Node node;
  node.operation = operation;
  node.window = window;
  return node;
}

QuantizedNode output(double scale, int zero_point, int lowest = 0, int highest = 255) {
  QuantizedNode numbers;
  numbers.output = {scale, zero_point};
  numbers.lowest = lowest;
  numbers.highest = highest;
  return numbers;
}

TEST(ReferenceOperations, AverageRoundsHalfToEven) {
  OneNode average({1, 1, 6}, pool(Operation::average, {1, 2, 1, 2}), output(1, 0));
  EXPECT_THAT(average({0, 1, 1, 2, 2, 3}), ElementsAre(0, 2, 2));  // 0.5, 1.5, 2.5
}

TEST(ReferenceOperations, AverageCountsWhatLiesInside) {
  // Windows of 2 with padding 1 before and 2 after, rounding up by stride 2: (pad, 4), (8, 12), (pad, pad) is left out.
  Node node = pool(Operation::average, {1, 2, 1, 2, 1, 1, 0, 1, 0, 0});
  EXPECT_THAT(OneNode({1, 1, 3}, node, output(1, 0))({4, 8, 12}), ElementsAre(4, 10));
  node.count_padding = true;
  EXPECT_THAT(OneNode({1, 1, 3}, node, output(1, 0))({4, 8, 12}), ElementsAre(2, 10));
  // The overhang is never counted: (4, 8), (12, nothing).
  node.window = {1, 2, 1, 2, 1, 1, 0, 0, 0, 0, true};
  EXPECT_THAT(OneNode({1, 1, 3}, node, output(1, 0))({4, 8, 12}), ElementsAre(6, 12));
}

TEST(ReferenceOperations, AveragePadsWithRealZero) {
  Node node = pool(Operation::average, {1, 2, 1, 2, 1, 1, 0, 1, 0, 0});
  node.count_padding = true;
  OneNode average({1, 1, 1}, node, output(0.5, 10));
  average.network.input = {1.0, 100};
  EXPECT_THAT(average({104}), ElementsAre(14));  // (0 + 4) / 2 = 2, at a scale of 0.5 and from 10 on
}

TEST(ReferenceOperations, MaximumIsNeverPadding) {
  OneNode maximum({1, 2, 2}, pool(Operation::maximum, {2, 2, 1, 1, 1, 1, 1, 1, 1, 1}), output(1, 200));
  maximum.network.input = {1.0, 200};
  EXPECT_THAT(maximum({1, 2, 3, 4}), ElementsAre(1, 2, 2, 3, 4, 4, 3, 4, 4));
}

TEST(ReferenceOperations, SumsRoundHalfToEven) {
  constexpr std::int32_t one = 1 << add_fraction_bits, half = one / 2;
  EXPECT_EQ(round_sum(half, 0, 255), 0);
  EXPECT_EQ(round_sum(half + 1, 0, 255), 1);
  EXPECT_EQ(round_sum(one + half, 0, 255), 2);
  EXPECT_EQ(round_sum(2 * one + half, 0, 255), 2);
  EXPECT_EQ(round_sum(-one, 0, 255), 0);
  EXPECT_EQ(round_sum(-one, 7, 255), 7);
  EXPECT_EQ(round_sum(300 * one, 0, 255), 255);
  EXPECT_EQ(round_sum(300 * one, 0, 127), 127);
  EXPECT_EQ(round_sum(2147483647, 0, 255), 255);
  EXPECT_EQ(round_sum(-2147483647 - 1, 0, 255), 0);
}

TEST(ReferenceOperations, AddAndMultiply) {
  GraphBuilder g("n", {2, 1, 2});
  const int constant = g.constant({2, 1, 1});
  g.operation(Operation::add, {image_value, constant}, false);
  g.operation(Operation::multiply, {constant, image_value}, false);
  QuantizedNetwork n = random_network(g.finish(2), Scheme::qnnpack, 1);
  n.input = {1.0, 10};
  n.nodes[0].output = {0.5, 20};
  n.nodes[0].codes = {24, 10};  // 2 and -5
  n.nodes[1].output = {2.0, 100};
  n.nodes[2].output = {0.5, 100};
  n.nodes[2].highest = 105;
  const std::vector<std::uint8_t> image{11, 13, 10, 16};  // 1, 3; 0, 6
  const std::vector<std::span<const std::uint8_t>> sum{image, n.nodes[0].codes}, product{n.nodes[0].codes, image};
  const std::vector<int> both{0, 1}, last{1};
  // (position, channel): 3 / 2, -5 / 2; 5 / 2, 1 / 2, each to the even.
  EXPECT_THAT(reference_node(n, 1, sum, {}, both).codes, ElementsAre(102, 98, 102, 100));
  // 2, 0; 6, -30, twice that from 100 on.
  EXPECT_THAT(reference_node(n, 2, product, {}, both).codes, ElementsAre(104, 100, 105, 40));
  EXPECT_THAT(reference_node(n, 2, product, {}, last).codes, ElementsAre(105, 40));
}

TEST(ReferenceOperations, GroupsSeeTheirChannels) {
  Node node;
  node.groups = 2;
  node.shape.channels = 4;
  QuantizedNode numbers = output(1, 0);
  numbers.weights = {1, 0, /**/ 0, 1, /**/ 1, 0, /**/ 1, 1};
  numbers.requantization = {{1, 1, 1, 1}, {0, 0, 0, 5}};
  EXPECT_THAT(OneNode({4, 1, 1}, node, numbers)({1, 2, 30, 40}), ElementsAre(1, 2, 30, 75));
}

TEST(ReferenceOperations, WindowsMayBeRectangularDilatedAndPaddedUnevenly) {
  Node node;
  node.window = {1, 2, 1, 2, 1, 3, 0, 1, 0, 2};  // columns 0 and 3 of each window, two columns a step
  node.shape.channels = 1;
  QuantizedNode numbers = output(1, 0);
  numbers.weights = {1, 10};
  numbers.requantization = {{1}, {0}};
  // Columns -1 and 2; 1 and 4; 3 and 6.
  EXPECT_THAT(OneNode({1, 1, 5}, node, numbers)({1, 2, 3, 4, 5}), ElementsAre(30, 52, 4));
}

TEST(SomeOf, HoldsTheEnds) {
  EXPECT_THAT(some_of(3, 100), ElementsAre(0, 1, 2));
  EXPECT_THAT(some_of(3, 0), ElementsAre(0, 1, 2));
  EXPECT_THAT(some_of(10, 4), ElementsAre(0, 3, 6, 9));
  EXPECT_THAT(some_of(100, 2), ElementsAre(0, 33, 66, 99));
}

}  // namespace
}  // namespace triseg::testing
