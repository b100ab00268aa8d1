#include "worker/reference_engine.hpp"
#include "worker/reference_operations.hpp"

#include "tests/worker/random_network.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace triseg::testing {
namespace {

using ::testing::ElementsAre;

TEST(Requantize, RoundsHalfToEven) {
  // 0.5, 1.5, 2.5, 3.5 -> 0, 2, 2, 4
  EXPECT_EQ(requantize(1, 0.5f, 0, 0, 255), 0);
  EXPECT_EQ(requantize(3, 0.5f, 0, 0, 255), 2);
  EXPECT_EQ(requantize(5, 0.5f, 0, 0, 255), 2);
  EXPECT_EQ(requantize(7, 0.5f, 0, 0, 255), 4);
  EXPECT_EQ(requantize(-5, 0.5f, 10, 0, 255), 8);
  EXPECT_EQ(requantize(-7, 0.5f, 10, 0, 255), 6);
}

TEST(Requantize, ClampsAfterAddingTheZeroPoint) {
  EXPECT_EQ(requantize(254, 1.0f, 0, 0, 255), 254);
  EXPECT_EQ(requantize(256, 1.0f, 0, 0, 255), 255);
  EXPECT_EQ(requantize(-1, 1.0f, 0, 0, 255), 0);
  EXPECT_EQ(requantize(-20, 1.0f, 10, 0, 255), 0);
  EXPECT_EQ(requantize(-20, 1.0f, 10, 10, 255), 10);
  EXPECT_EQ(requantize(250, 1.0f, 10, 10, 255), 255);
  EXPECT_EQ(requantize(2147483647, 1000.0f, 0, 0, 255), 255);
  EXPECT_EQ(requantize(-2147483647, 1000.0f, 128, 0, 255), 0);
}

TEST(Requantize, RoundsTheAccumulatorToFloatFirst) {
  // 2^24 + 1 is no float32: it becomes 2^24, and 2^24 * 2^-17 = 128 exactly.
  EXPECT_EQ(requantize((1 << 24) + 1, 1.0f / (1 << 17), 0, 0, 255), 128);
  // 2^24 + 2^16 gives 128.5, which goes to 128; a bit more goes to 129.
  EXPECT_EQ(requantize((1 << 24) + (1 << 16), 1.0f / (1 << 17), 0, 0, 255), 128);
  EXPECT_EQ(requantize((1 << 24) + (1 << 16) + 2, 1.0f / (1 << 17), 0, 0, 255), 129);
}

/// 3 x 3 input of one channel, zero point 1; one 2 x 2 kernel; padding 1, stride 2: four windows, each over a corner.
Problem tiny() {
  QuantizedNetwork n = random_network(
      chain("tiny", 1, 3, {convolution("conv1", 2, 2, 2, 1, 1), fully_connected("fc", 2)}, {0}), Scheme::qnnpack, 1);
  n.input.zero_point = 1;
  n.nodes[0].weights = {1, 2, 3, 4, -1, 0, 0, 1};
  n.nodes[0].requantization = {{0.5f, 1.0f}, {10, 0}};
  n.nodes[1].weights = {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1};
  n.nodes[1].output.zero_point = 100;
  n.nodes[1].requantization = {{1.0f, 1.0f}, {0, 5}};
  return make_problem(n);
}

TEST(ReferenceEngine, ComputesATinyNetworkByHand) {
  const Problem problem = tiny();
  const auto engine = make_reference_engine(problem);
  const std::vector<std::uint8_t> image{2, 3, 4,    // q - z: 1 2 3
                                        5, 6, 7,    //        4 5 6
                                        8, 9, 11};  //        7 8 10
  engine->load_images(image, 1);
  Student s = teacher(problem);
  s.tables[0] = staircase({.t1 = 8, .v1 = 9, .t2 = 16, .v2 = 17, .tmax = 38});

  // Windows (top left, top right, bottom left, bottom right) of channel 0 with weights 1 2 / 3 4 and bias 10:
  //   4*1 + 10 = 14;  3*2 + 4*3 + 10 = 28;  2*4 + 4*7 + 10 = 46;  1*5 + 2*6 + 3*8 + 4*10 + 10 = 91
  // of channel 1 with weights -1 0 / 0 1: 1;  3;  7;  -5 + 10 = 5
  std::vector<std::int32_t> accumulators;
  std::vector<std::uint8_t> codes;
  engine->trace(s, [&](const NodeTrace& t) {
    if (t.node != 0) return;
    EXPECT_EQ(t.positions, 4);
    EXPECT_EQ(t.channels, 2);
    accumulators.assign(t.accumulators.begin(), t.accumulators.end());
    codes.assign(t.codes.begin(), t.codes.end());
  });
  EXPECT_THAT(accumulators, ElementsAre(14, 1, 28, 3, 46, 7, 91, 5));
  EXPECT_THAT(codes, ElementsAre(7, 1, 14, 3, 23, 7, 46, 5));  // 45.5 goes to the even 46

  // Behind the staircase: channel 0: 0, 9, 17, 46 (above tmax); channel 1: 0. Features are (C,H,W) flattened, so fc
  // sees channel 0's first code, 0, and minus channel 1's last, 0, plus 5.
  std::vector<ForwardResult> view(1);
  std::vector<OwnedForwardResult> result(1);
  engine->forward(std::span(&s, 1), view);
  result[0] = OwnedForwardResult(view[0]);
  EXPECT_THAT(result[0].attention[0], ElementsAre(0, 81, 289, 2116));
  EXPECT_THAT(result[0].logit_codes, ElementsAre(100, 105));

  // The exact teacher: 7 + 100, and 100 + 5 - 5.
  const Student exact = teacher(problem);
  engine->forward(std::span(&exact, 1), view);
  result[0] = OwnedForwardResult(view[0]);
  EXPECT_THAT(result[0].attention[0], ElementsAre(50, 205, 578, 2141));
  EXPECT_THAT(result[0].logit_codes, ElementsAre(107, 100));
}

TEST(ReferenceEngine, PoolsBehindTheAttentionMap) {
  QuantizedNetwork n = random_network(
      chain("pooled", 1, 3, {convolution("conv1", 1, 1, 1, 0, 2), fully_connected("fc", 1)}, {0}), Scheme::qnnpack, 1);
  n.input.zero_point = 0;
  n.nodes[0].weights = {1};
  n.nodes[0].requantization = {{1.0f}, {0}};
  n.nodes[2].weights = {1};
  n.nodes[2].output.zero_point = 0;
  n.nodes[2].requantization = {{1.0f}, {0}};
  const Problem problem = make_problem(n);
  const auto engine = make_reference_engine(problem);
  const std::vector<std::uint8_t> image{1, 2, 90, 4, 3, 80, 70, 60, 50};
  engine->load_images(image, 1);
  const Student exact = teacher(problem);
  std::vector<ForwardResult> view(1);
  std::vector<OwnedForwardResult> result(1);
  engine->forward(std::span(&exact, 1), view);
  result[0] = OwnedForwardResult(view[0]);
  EXPECT_THAT(result[0].attention[0], ElementsAre(1, 4, 8100, 16, 9, 6400, 4900, 3600, 2500));
  EXPECT_THAT(result[0].logit_codes, ElementsAre(4));  // the rest of the 3 x 3 is dropped
}

}  // namespace
}  // namespace triseg::testing
