// Every instruction set against the portable loops; that those are right is in engine_agreement_test.cpp.
#include "worker/cpu/operation_kernels.hpp"

#include "tests/worker/random_network.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace triseg::testing {
namespace {

class OperationKernelsTest : public ::testing::TestWithParam<OperationKernels> {
 protected:
  const OperationKernels& kernels_ = GetParam();
  const OperationKernels& portable_ = operation_kernels().back();
  Random random_{9};

  static PoolPass pool_pass(int lanes) {
    PoolPass pass{7, 6, 4, 6, lanes, {3, 3, 2, 1, 1, 1, 1, 1, 1, 1}};
    pass.zero_point_in = 9;
    pass.zero_point = 60;
    pass.lowest = 3;
    pass.highest = 240;
    for (int count = 0; count <= 9; ++count) pass.multiplier.push_back(count == 0 ? 0 : 0.75f / float(count));
    return pass;
  }
};

TEST_P(OperationKernelsTest, Pools) {
  for (int lanes : {8, 16, 24, 136, 264}) {
    const auto in = random_codes(std::size_t(7) * 6 * lanes, lanes);
    std::vector<std::uint8_t> expected(std::size_t(4) * 6 * lanes), actual(expected);
    for (bool count_padding : {false, true}) {
      PoolPass pass = pool_pass(lanes);
      pass.count_padding = count_padding;
      portable_.average(pass, in.data(), expected.data());
      kernels_.average(pass, in.data(), actual.data());
      EXPECT_TRUE(expected == actual) << "average, " << lanes << " lanes";
      portable_.maximum(pass, in.data(), expected.data());
      kernels_.maximum(pass, in.data(), actual.data());
      EXPECT_TRUE(expected == actual) << "maximum, " << lanes << " lanes";
    }
  }
}

/// Tables as models have them, of all pairs of codes: slopes of any size and sign, and many halves.
TEST_P(OperationKernelsTest, AddsByTablesOfAModel) {
  std::vector<std::uint8_t> a, b;
  for (int i = 0; i < 65536 + 40; ++i) {
    a.push_back(static_cast<std::uint8_t>(i));
    b.push_back(static_cast<std::uint8_t>(i >> 8));
  }
  const int count = static_cast<int>(a.size());
  std::vector<std::uint8_t> expected(count), actual(count);
  for (const auto& [scale_a, scale_b] : {std::pair{0.7312, 1.931}, {0.5, 0.25}, {0.001, 3.9}, {1.0, 1.0}}) {
    BinaryPass pass{1, 1, count, {}, {}, 3, 250};
    for (int q = 0; q < 256; ++q) {
      pass.table_a[q] = static_cast<std::int32_t>(std::rint(scale_a * (q - 17) * (1 << 20))) + 90 * (1 << 20);
      pass.table_b[q] = static_cast<std::int32_t>(std::rint(scale_b * (q - 128) * (1 << 20)));
    }
    find_slopes(pass);
    EXPECT_TRUE(pass.has_slopes);
    portable_.add(pass, a.data(), b.data(), expected.data());
    kernels_.add(pass, a.data(), b.data(), actual.data());
    EXPECT_TRUE(expected == actual) << scale_a << ", " << scale_b;
  }
}

TEST_P(OperationKernelsTest, AddsAndMultiplies) {
  for (int lanes : {8, 24, 136}) {
    BinaryPass pass{5, 3, lanes, {std::size_t(3) * lanes, std::size_t(lanes), false}, {0, 8, true}, 2, 251};
    for (int q = 0; q < 256; ++q) {
      pass.table_a[q] = q % 3 == 0 ? q * (1 << 19) : random_.integer(-(1 << 28), 1 << 28);  // many halves
      pass.table_b[q] = q % 3 == 0 ? q * (1 << 19) : random_.integer(-(1 << 28), 1 << 28);
    }
    pass.zero_point_a = 7;
    pass.zero_point_b = 128;
    pass.zero_point = 100;
    pass.multiplier = 0.0078125f;
    const auto a = random_codes(std::size_t(15) * lanes, lanes), b = random_codes(3 * 8, lanes + 1);
    std::vector<std::uint8_t> expected(a.size()), actual(a.size());
    portable_.add(pass, a.data(), b.data(), expected.data());
    kernels_.add(pass, a.data(), b.data(), actual.data());
    EXPECT_TRUE(expected == actual) << "add, " << lanes << " lanes";
    portable_.multiply(pass, a.data(), b.data(), expected.data());
    kernels_.multiply(pass, a.data(), b.data(), actual.data());
    EXPECT_TRUE(expected == actual) << "multiply, " << lanes << " lanes";
  }
}

TEST_P(OperationKernelsTest, ConvolvesDepthwiseWithTheLargestProducts) {
  for (int lanes : {8, 40, 64}) {
    const DepthwisePass pass{6, 3, 2, lanes, {3, 2, 2, 2, 1, 2}};
    auto in = random_codes(std::size_t(7) * 6 * lanes, lanes);
    for (std::size_t i = 0; i < in.size(); i += 3) in[i] = 255;
    std::vector<std::int16_t> weights(std::size_t(6) * lanes);
    for (auto& w : weights) w = static_cast<std::int16_t>(random_.integer(0, 3) ? random_.integer(-128, 127) : -128);
    std::vector<std::int32_t> expected(std::size_t(6) * lanes), actual(expected);
    for (int y = 0; y < 3; ++y)
      for (int x = 0; x < 2; ++x)
        for (int tap = 0; tap < 6; ++tap)
          for (int c = 0; c < lanes; ++c)
            expected[(y * 2 + x) * lanes + c] +=
                in[((y * 2 + tap / 2) * 6 + x * 2 + tap % 2 * 2) * lanes + c] * weights[tap * lanes + c];
    kernels_.depthwise(pass, in.data(), weights.data(), actual.data());
    EXPECT_TRUE(expected == actual) << lanes << " lanes";
  }
}

INSTANTIATE_TEST_SUITE_P(InstructionSets, OperationKernelsTest,
                         ::testing::ValuesIn(operation_kernels().begin(), operation_kernels().end()),
                         [](const auto& info) {
                           std::string name(info.param.name);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace triseg::testing
