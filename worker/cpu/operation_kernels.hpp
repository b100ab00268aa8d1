// What the CPU engine does for operations other than convolutions, and for depthwise ones, once per instruction set.
// Data of one image lie as worker/cpu/image_operation.hpp says; all layouts of a pass have the same lanes.
#pragma once

#include "network/quantized_network.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <span>
#include <vector>

namespace triseg {

/// A pool of one image.
struct PoolPass {
  int in_height = 1, in_width = 1, out_height = 1, out_width = 1, lanes = 0;
  Window window;

  // Average only.
  bool count_padding = false;
  int zero_point_in = 0, zero_point = 0, lowest = 0, highest = 255;
  std::vector<float> multiplier;  // (1 + positions of the window): by how many count
};

/// How a pass goes through an operand: bytes from a row or column to the next, 0 where one stands for all.
struct OperandPass {
  std::size_t row = 0, column = 0;
  bool one_channel = false;  ///< the code in the first lane stands for all channels
};

/// An operation of two operands on one image.
struct BinaryPass {
  int height = 1, width = 1, lanes = 0;
  OperandPass a, b;
  int lowest = 0, highest = 255;
  // Addition: add_table() of each operand.
  std::array<std::int32_t, 256> table_a{}, table_b{};
  // Likewise, the same tables as table[q] = slope * q + rest[q], offset_ab for both; has_slopes if all rests fit 8
  // bits.
  bool has_slopes = false;
  std::int32_t slope_a = 0, slope_b = 0, offset_ab = 0;
  std::array<std::int8_t, 256> rest_a{}, rest_b{};
  // Multiplication.
  int zero_point_a = 0, zero_point_b = 0, zero_point = 0;
  float multiplier = 0;
};

/// Sets slopes, rests and offset of an addition from its tables.
void find_slopes(BinaryPass& pass);

/// A depthwise convolution of one image whose border lies around it already.
struct DepthwisePass {
  int in_width = 1, out_height = 1, out_width = 1, lanes = 0;
  Window window;  ///< without its padding
};

/// The loops of one instruction set. All of them give the same bytes.
struct OperationKernels {
  std::string_view name;

  void (*average)(const PoolPass& pass, const std::uint8_t* in, std::uint8_t* out);
  void (*maximum)(const PoolPass& pass, const std::uint8_t* in, std::uint8_t* out);
  void (*add)(const BinaryPass& pass, const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* out);
  void (*multiply)(const BinaryPass& pass, const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* out);
  /// weights: (window positions, lanes); sums: (output positions, lanes), of plain codes.
  void (*depthwise)(const DepthwisePass& pass, const std::uint8_t* in, const std::int16_t* weights, std::int32_t* sums);
};

/// The instruction sets this CPU has, the fastest first; the last one is always the portable one.
std::span<const OperationKernels> operation_kernels();

}  // namespace triseg
