// Sums of products of codes and weights, in registers, once per instruction set.
//
// What a window covers lies in memory as runs of codes that follow each other: one run a window row, or one a window
// position where the window is dilated. A *dot* is 4 bytes of a run: 4 codes, or 2 that are widened to 16 bits. Output
// lanes are computed in blocks, two blocks at a time as long as there are two.
#pragma once

#include "network/network.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace triseg {

/// Some output rows of one image.
struct DotPass {
  const std::uint8_t* codes = nullptr;    ///< where the window of the first position begins
  std::size_t row_step = 0;               ///< bytes from the windows of one output row to those of the next
  std::size_t column_step = 0;            ///< likewise of columns
  int height = 1, width = 1;              ///< output positions
  std::span<const std::size_t> runs;      ///< bytes from the window's begin to each run
  int dots = 0;                           ///< of a run, a multiple of DotKernels::dots_multiple
  const std::uint8_t* weights = nullptr;  ///< (lanes in twos of blocks)(runs)(dots)(1 or 2 blocks)(block)(4 bytes)
  int lanes = 0;                          ///< output lanes, a multiple of 8; weights are there for whole blocks
  std::int32_t* sums = nullptr;           ///< (height, width, lanes)
};

/// Some output rows of one image of a depthwise convolution. A dot is 4 rows of the window, or 2 that are widened to 16
/// bits, of one lane.
struct DepthwiseDots {
  const std::uint8_t* codes = nullptr;  ///< where the window of the first position begins
  int in_width = 1, height = 1, width = 1;
  int lanes = 0;                          ///< a multiple of 8
  Window window;                          ///< without its padding
  const std::uint8_t* weights = nullptr;  ///< (dots of a column)(window width)(whole blocks of lanes)(4 bytes)
  std::uint8_t* rows = nullptr;  ///< memory for (dots of a column, in_width, lanes, 4 bytes) and a block behind
  std::int32_t* sums = nullptr;  ///< (height, width, lanes)
};

/// The loops of one instruction set. All of them give the same sums, where they are exact.
struct DotKernels {
  std::string_view name;
  int block = 8;               ///< output lanes
  int code_bytes = 1;          ///< of a code and a weight
  int dots_multiple = 1;       ///< runs are filled up with weights of 0 to a multiple of so many dots
  int lanes_multiple = 8;      ///< of output lanes
  int least_columns = 1;       ///< of output positions in a row; with fewer, others are faster
  bool small_weights = false;  ///< exact only where 255 times the weights of a pair of one sign fits 16 bits
  void (*run)(const DotPass& pass);
  void (*depthwise)(const DepthwiseDots& pass);  ///< null: has none
};

/// Those this CPU has, the fastest first; none on CPUs without AVX2.
std::span<const DotKernels> dot_kernels();

}  // namespace triseg
