#include "worker/cpu/requantize_kernels.hpp"

#include "tests/worker/random_network.hpp"
#include "worker/reference_operations.hpp"

#include <gtest/gtest.h>

#include <tuple>

namespace triseg::testing {
namespace {

class RequantizeKernelsTest : public ::testing::TestWithParam<RequantizeKernels> {
 protected:
  const RequantizeKernels& kernels_ = GetParam();
  Random random_{3};

  LaneRequantization requantization(int lanes) {
    LaneRequantization r;
    for (int c = 0; c < lanes; ++c) {
      r.bias.push_back(random_.integer(-100000, 100000));
      // Every third multiplier makes many products that lie exactly half way between two codes.
      r.multiplier.push_back(c % 3 == 0 ? 1.0f / 2048 : static_cast<float>(random_.real(0.0, 0.002)));
    }
    return r;
  }

  std::vector<std::int32_t> sums(std::size_t count) {
    std::vector<std::int32_t> values(count);
    for (auto& v : values) {
      v = random_.integer(-400000, 400000) & ~1023;
      if (random_.integer(0, 9) == 0) v = random_.integer(-1000000000, 1000000000);
    }
    return values;
  }
};

TEST_P(RequantizeKernelsTest, RequantizesAsTheContractSays) {
  for (auto [zero, lowest, highest] :
       {std::tuple(0, 0, 255), std::tuple(128, 0, 255), std::tuple(7, 7, 127), std::tuple(255, 0, 254)}) {
    for (int lanes : {8, 16, 24, 64, 72, 80, 136, 512}) {
      for (const Sides pool : {Sides{1, 1}, Sides{2, 2}, Sides{3, 1}, Sides{2, 3}}) {
        constexpr Sides plane{7, 5};
        auto r = requantization(lanes);
        r.bias[0] = 0;
        r.zero_point = zero;
        r.lowest = lowest;
        r.highest = highest;
        const auto in = sums(std::size_t(plane.height) * plane.width * lanes);
        const int height = plane.height / pool.height, width = plane.width / pool.width;
        std::vector<std::uint8_t> expected(std::size_t(height) * width * lanes, 0), actual(expected.size());
        for (int y = 0; y < height * pool.height; ++y)
          for (int x = 0; x < width * pool.width; ++x)
            for (int c = 0; c < lanes; ++c) {
              auto& q = expected[(std::size_t(y / pool.height) * width + x / pool.width) * lanes + c];
              const std::int32_t sum = in[(std::size_t(y) * plane.width + x) * lanes + c] + r.bias[c];
              q = std::max(q, requantize(sum, r.multiplier[c], zero, lowest, highest));
            }
        kernels_.requantize(in.data(), plane, pool, r, actual.data());
        ASSERT_TRUE(expected == actual) << "zero point " << zero << ", " << lanes << " lanes, pool " << pool.height
                                        << " x " << pool.width;
      }
    }
  }
}

TEST_P(RequantizeKernelsTest, RoundsHalfToEven) {
  LaneRequantization r;
  r.bias.assign(16, 0);
  r.multiplier.assign(16, 0.5f);
  const std::vector<std::int32_t> in{-1, 0, 1, 2, 3, 4, 5, 6, 7, 505, 507, 508, 509, 510, 511, 2147483647};
  std::vector<std::uint8_t> out(16);
  kernels_.requantize(in.data(), {1, 1}, {1, 1}, r, out.data());
  EXPECT_EQ(out, (std::vector<std::uint8_t>{0, 0, 0, 1, 2, 2, 2, 3, 4, 252, 254, 254, 254, 255, 255, 255}));
}

TEST_P(RequantizeKernelsTest, AppliesAnyTableInPlaceAndElsewhere) {
  Table table;
  for (auto& entry : table) entry = static_cast<std::uint8_t>(random_.integer(0, 255));
  for (std::size_t count : {1, 7, 63, 64, 65, 127, 128, 200, 1000}) {
    std::vector<std::uint8_t> in = random_codes(count + 1, count);
    std::vector<std::uint8_t> expected(in), out(count + 1, 99);
    for (std::size_t i = 0; i < count; ++i) expected[i] = table[in[i]];
    kernels_.apply_table(table, in.data(), count, out.data());
    EXPECT_EQ(out[count], 99) << "written past the end";
    out[count] = expected[count];
    EXPECT_TRUE(out == expected) << count;
    kernels_.apply_table(table, in.data(), count, in.data());
    EXPECT_TRUE(in == expected) << count << " in place";
  }
}

TEST_P(RequantizeKernelsTest, SumsSquaresOfTheChannelsOnly) {
  for (auto [lanes, channels] : {std::pair(1, 1), std::pair(8, 5), std::pair(16, 16), std::pair(16, 9),
                                 std::pair(64, 64), std::pair(520, 513)}) {
    constexpr int positions = 3;
    auto codes = random_codes(std::size_t(positions) * lanes, lanes);
    std::fill(codes.begin(), codes.begin() + lanes, std::uint8_t{255});  // the largest sum
    for (int p = 0; p < positions; ++p)
      for (int c = channels; c < lanes; ++c) codes[p * lanes + c] = 11;
    std::vector<std::uint32_t> expected(positions, 0), actual(positions);
    for (int p = 0; p < positions; ++p)
      for (int c = 0; c < channels; ++c) expected[p] += codes[p * lanes + c] * codes[p * lanes + c];
    kernels_.squares(codes.data(), positions, lanes, channels, actual.data());
    EXPECT_EQ(actual, expected) << lanes;
  }
}

TEST_P(RequantizeKernelsTest, AddsExactMoments) {
  for (int lanes : {8, 16, 24, 136}) {
    constexpr int positions = 50;
    auto in = sums(std::size_t(positions) * lanes);
    in[0] = 2147483647;
    std::vector<std::int32_t> offset(lanes, 0);
    offset[lanes - 1] = -123456789;
    std::vector<Moments> expected(lanes);
    for (std::size_t i = 0; i < in.size(); ++i) expected[i % lanes].add(in[i] + offset[i % lanes]);
    LaneMoments actual;
    actual.clear(lanes);
    kernels_.add_moments(in.data(), 20, lanes, offset.data(), actual);
    kernels_.add_moments(in.data() + 20 * lanes, positions - 20, lanes, offset.data(), actual);
    for (int c = 0; c < lanes; ++c)
      EXPECT_EQ((Moments{positions, actual.sum[c], actual.squares_low[c], actual.squares_high[c]}), expected[c])
          << lanes << ", lane " << c;
  }
}

std::string test_name(const ::testing::TestParamInfo<RequantizeKernels>& info) {
  std::string name(info.param.name);
  std::erase(name, '-');
  return name;
}

INSTANTIATE_TEST_SUITE_P(InstructionSets, RequantizeKernelsTest,
                         ::testing::ValuesIn(requantize_kernels().begin(), requantize_kernels().end()), test_name);

TEST(RequantizeKernels, EndWithThePortableOnes) { EXPECT_EQ(requantize_kernels().back().name, "portable"); }

}  // namespace
}  // namespace triseg::testing
