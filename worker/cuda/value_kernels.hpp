// What the CUDA engine runs on the device besides matrix products: the layout of images, and every operation that is no
// dense convolution. Codes lie as cuda_kernels.hpp says.
#pragma once

#include "worker/cuda/cuda_kernels.hpp"

#include <cuda_runtime_api.h>

#include <cstdint>

namespace triseg {

/// A value that a kernel reads. A side of 1 is repeated where the result has more; so is one channel.
struct Operand {
  const std::uint8_t* codes;  // (instances, height, width, padded_channels)
  int height, width, channels, padded_channels;
  int instances;  ///< instance i of the result reads instance i % instances
  int zero_point;
};

/// Where the window of a pool or a depthwise convolution lies.
struct WindowPlace {
  int height, width, stride_y, stride_x, dilation_y, dilation_x, pad_top, pad_left, pad_bottom, pad_right;
};

/// From (images, channels, height, width) to codes as they lie here, channels beyond with 0.
struct ImageLayout {
  const std::uint8_t* from;
  std::uint8_t* to;
  int images, channels, padded_channels, height, width;
};
[[nodiscard]] cudaError_t launch_image_layout(const ImageLayout&, cudaStream_t);

/// A copy of the operand's instances within a border of its zero point. to: (instances, height, width,
/// padded_channels).
struct BorderedCopy {
  Operand from;
  std::uint8_t* to;
  int height, width, top, left;
};
[[nodiscard]] cudaError_t launch_bordered_copy(const BorderedCopy&, cudaStream_t);

/// Each of the following makes the codes of a value, then looks them up, measures attention and stores them as the
/// epilogue says; shapes have no pool.

/// A convolution of every channel by itself. The input's border, where it has one, holds its zero point.
struct Depthwise {
  Operand input;
  WindowPlace window;
  const std::int8_t* weights;  // (window positions / 4, padded_channels, 4), zeros beyond
  std::int32_t* sums;          // (instances, positions, padded_channels), bias not included; or null: not stored
};
/// With a null epilogue.output only the sums are stored.
[[nodiscard]] cudaError_t launch_depthwise(const Depthwise&, const OutputShape&, const Epilogue&, cudaStream_t);

struct Maximum {
  Operand input;
  WindowPlace window;
};
[[nodiscard]] cudaError_t launch_maximum(const Maximum&, const OutputShape&, const Epilogue&, cudaStream_t);

struct Average {
  Operand input;
  WindowPlace window;
  bool count_padding;
  const float* multipliers;  // (window positions + 1): by the number of positions that count
};
[[nodiscard]] cudaError_t launch_average(const Average&, const OutputShape&, const Epilogue&, cudaStream_t);

struct Addition {
  Operand a, b;
  const std::int32_t *table_a, *table_b;  // (256): add_table()
};
[[nodiscard]] cudaError_t launch_addition(const Addition&, const OutputShape&, const Epilogue&, cudaStream_t);

struct Multiplication {
  Operand a, b;
  float multiplier;
};
[[nodiscard]] cudaError_t launch_multiplication(const Multiplication&, const OutputShape&, const Epilogue&,
                                                cudaStream_t);

/// One input of a concatenation; of a table its only one.
struct Piece {
  Operand input;
  int first_channel;        // in the result
  const std::uint8_t* map;  // (256): what its codes become; or null: themselves
};
struct Concatenation {
  const Piece* pieces;  // in device memory
  int count;
};
[[nodiscard]] cudaError_t launch_concatenation(const Concatenation&, const OutputShape&, const Epilogue&, cudaStream_t);

}  // namespace triseg
