// Every way this CPU has to run a convolution against the reference, at odd shapes.
#include "worker/cpu/convolution.hpp"

#include "tests/worker/random_graph.hpp"
#include "worker/cpu/depthwise_convolution.hpp"
#include "worker/cpu/direct_convolution.hpp"

#include <gtest/gtest.h>

namespace triseg::testing {
namespace {

struct Shapes {
  const char* name;
  Shape input;
  int channels;
  Window window;
};

const Shapes dense[] = {
    {"image", {3, 11, 9}, 16, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}},
    {"narrow", {5, 7, 3}, 7, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}},
    {"whole_tiles", {32, 6, 32}, 32, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}},
    {"three_blocks", {20, 5, 19}, 45, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}},
    {"one_row_of_positions", {24, 5, 7}, 40, {}},
    {"one_position_a_row", {9, 6, 1}, 64, {3, 1, 1, 1, 1, 1, 1, 0, 1, 0}},
    {"strided", {16, 13, 35}, 24, {3, 5, 2, 3, 1, 1, 1, 0, 0, 2}},
    {"strided_position", {33, 8, 10}, 31, {1, 1, 2, 2}},
    {"dilated", {7, 12, 12}, 17, {3, 2, 1, 2, 2, 3, 2, 1, 1, 2}},
    {"wide_window", {70, 4, 18}, 80, {4, 5, 1, 1, 1, 1, 2, 2, 2, 2}},
};

QuantizedNetwork network_of(const Shapes& s, int groups, int largest_weight) {
  GraphBuilder g(s.name, s.input);
  // The input has a zero point that is not 0.
  g.convolution(g.convolution(image_value, s.input.channels, {}, false), s.channels, s.window, true, groups);
  return random_problem(g.finish(2), Scheme::fbgemm, 3, {.largest_weight = largest_weight, .varied = true}).model;
}

/// Rows a few at a time are those of all.
void expect_rows_alone(Convolution& convolution, const QuantizedNetwork& network) {
  const CodeLayout input = layout_of(network.network, 0), output = layout_of(network.network, 1);
  auto codes = random_codes(convolution.tile() * input.size(), 7);
  codes.resize(codes.size() + codes_slack, 255);
  convolution.load(codes.data());
  const std::size_t row = std::size_t(output.width) * output.lanes;
  const std::int32_t* const sums = convolution.rows(0, 0, output.height);
  const std::vector<std::int32_t> all(sums, sums + output.height * row);
  for (int first = 0; first < output.height; first += 2) {
    const int count = std::min(2, output.height - first);
    const std::int32_t* const some = convolution.rows(0, first, count);
    EXPECT_TRUE(std::equal(some, some + count * row, all.begin() + first * row)) << "rows from " << first;
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (int(i % output.lanes) >= output.channels) {
      ASSERT_EQ(all[i], 0) << "a lane past the channels";
    }
  }
}

class ConvolutionTest : public ::testing::TestWithParam<Shapes> {};

TEST_P(ConvolutionTest, DirectOnesAreExactWithEveryInstructionSet) {
  for (const int largest_weight : {127, 64}) {
    const QuantizedNetwork network = network_of(GetParam(), 1, largest_weight);
    int ran = 0;
    for (const DotKernels& kernels : dot_kernels()) {
      SCOPED_TRACE(std::string(kernels.name));
      if (!DirectConvolution::supports(network, 1, kernels)) continue;
      DirectConvolution convolution(network, 1, kernels);
      EXPECT_TRUE(matches_reference(convolution, network, 1));
      expect_rows_alone(convolution, network);
      ++ran;
    }
    EXPECT_TRUE(ran > 0 || dot_kernels().empty());
  }
}

TEST_P(ConvolutionTest, DepthwiseOnesAreExactWithEveryInstructionSet) {
  Shapes shapes = GetParam();
  shapes.channels = shapes.input.channels;
  const QuantizedNetwork network = network_of(shapes, shapes.channels, 127);
  ASSERT_TRUE(DepthwiseConvolution::supports(network, 1));
  std::vector<const DotKernels*> ways{nullptr};
  for (const DotKernels& kernels : dot_kernels())
    if (kernels.depthwise) ways.push_back(&kernels);
  for (const DotKernels* way : ways) {
    DepthwiseConvolution convolution(network, 1, way);
    SCOPED_TRACE(convolution.how());
    EXPECT_TRUE(matches_reference(convolution, network, 1));
    expect_rows_alone(convolution, network);
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, ConvolutionTest, ::testing::ValuesIn(dense),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace triseg::testing
