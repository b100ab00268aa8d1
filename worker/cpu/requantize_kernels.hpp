// What the CPU engine does to int32 sums and codes between two matrix products, once per instruction set.
//
// Data of one image lie as (height, width, lanes): `lanes` is the channel count rounded up. The lanes past the channels
// have sum, bias and multiplier 0, so they all hold one and the same code.
#pragma once

#include "core/codes.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace triseg {

/// How sums become codes: q = clamp(rint(float32(sum + bias[c]) * multiplier[c]) + zero_point, lowest, highest).
struct LaneRequantization {
  std::vector<std::int32_t> bias;  // (lanes)
  std::vector<float> multiplier;   // (lanes), >= 0
  int zero_point = 0;
  int lowest = 0, highest = 255;
};

/// Of a plane or a window.
struct Sides {
  int height = 1, width = 1;
};

/// Moments of a convolution's lanes, as struct Moments has them, lane by lane for the loops; the count is the caller's.
struct LaneMoments {
  std::vector<std::int64_t> sum;                         // (lanes)
  std::vector<std::uint64_t> squares_low, squares_high;  // (lanes)

  void clear(int lanes) {
    sum.assign(lanes, 0);
    squares_low.assign(lanes, 0);
    squares_high.assign(lanes, 0);
  }
};

/// The loops of one instruction set. All of them give the same bytes.
struct RequantizeKernels {
  std::string_view name;

  /// The maximum over windows of `pool`, side by side, a rest dropped, then requantization. The order does not matter
  /// to the result, and the maximum first is less work. sums: (plane, lanes); codes: (plane / pool, lanes).
  void (*requantize)(const std::int32_t* sums, Sides plane, Sides pool, const LaneRequantization& requantization,
                     std::uint8_t* codes);

  /// out[i] = table[in[i]] for `count` codes. in and out may be the same.
  void (*apply_table)(const Table& table, const std::uint8_t* in, std::size_t count, std::uint8_t* out);

  /// map[p] = sum over the first `channels` lanes of the squared code; the other lanes of a position are equal.
  /// codes: (positions, lanes); map: (positions).
  void (*squares)(const std::uint8_t* codes, int positions, int lanes, int channels, std::uint32_t* map);

  /// Adds the moments of sum + offset[c]. sums: (positions, lanes); offset: (lanes).
  void (*add_moments)(const std::int32_t* sums, int positions, int lanes, const std::int32_t* offset,
                      LaneMoments& moments);
};

/// The instruction sets this CPU has, the fastest first; the last one is always the portable one.
std::span<const RequantizeKernels> requantize_kernels();

}  // namespace triseg
