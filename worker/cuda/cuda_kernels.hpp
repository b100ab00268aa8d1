// What the CUDA engine runs on the device. Codes lie as (instances, side, side, channels), channels rounded up to 16
// and filled with anything: the weights there are 0. An instance is one image of one candidate.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace triseg {

/// Channels are stored in vectors of so many codes.
inline constexpr int channel_vector = 16;
/// The products' inner dimension is a multiple of this.
inline constexpr int inner_block = 128;
/// A weight matrix has so many rows more than it needs, so that the largest tile stays inside.
inline constexpr int output_block = 192;

/// A pooling window's positions are rows of one tile.
inline constexpr int largest_pool = 11;

/// Where 16 consecutive elements of the inner dimension come from, relative to the window's first input position.
struct Tap {
  int offset;  // bytes
  short dy, dx;
};
/// A dy outside every image: the tap reads zeros.
inline constexpr short no_tap = 0x4000;

/// From accumulators to codes, for the layer that is run.
struct Epilogue {
  const float* multiplier;          // (candidates or 1, padded_channels)
  const std::int32_t* bias;         // likewise; holds the correction for the input's zero point, too
  int requantization_stride;        // between candidates: padded_channels, or 0 if all share one
  int zero_point, lowest, highest;  // of the output codes
  const std::uint8_t* tables;       // (candidates, 256), or null: not a site
  int table_stride;                 // bytes between candidates
  std::uint8_t* output;             // (instances, pooled_side, pooled_side, padded_channels)
  std::uint32_t* attention;         // (instances, positions or channels), zeroed; or null
  bool attention_per_channel;       // of a value of one position
  std::uint8_t* codes;              // (instances, positions, padded_channels) before the table, or null: not traced
};

/// One layer's output.
struct OutputShape {
  int side, pool, windows,
      pooled_side;  // windows = ceil(side / pool): pooling windows a row, the last maybe incomplete
  int channels, padded_channels;
  int images;     // of each candidate
  int instances;  // candidates * images
};

/// A convolution (a fully connected layer is one over its whole input) as a matrix product whose rows are positions,
/// gathered as they are loaded. u8 x s8 -> s32 on tensor cores: exact for all weights.
struct Convolution {
  int side, channels, stride, padding;  // input; channels a multiple of channel_vector
  int inner;                            // a multiple of inner_block
  const std::uint8_t* input;
  const std::int8_t* weights;  // (padded_channels + output_block, inner), zeros beyond
  const Tap* taps;             // (inner / channel_vector)
  std::int32_t* sums;          // (instances, positions, padded_channels), bias not included; or null: not stored
};

/// Runs the convolution and, unless epilogue.output is null, requantizes, looks up, measures attention and pools.
[[nodiscard]] cudaError_t launch_convolution(const Convolution&, const OutputShape&, const Epilogue&, cudaStream_t);

/// cudaSuccess if this build has code that runs on the current device.
[[nodiscard]] cudaError_t find_kernels();

/// The epilogue alone, from stored sums of one candidate's images (images, positions, padded_channels), for all
/// candidates.
[[nodiscard]] cudaError_t launch_epilogue(const std::int32_t* sums, const OutputShape&, const Epilogue&, cudaStream_t);

/// Sums over rows of one student's accumulators without bias, for each channel, added with atomics.
struct MomentSums {
  const std::int32_t* sums;  // (rows, padded_channels), of plain codes
  long long rows;            // images * positions
  int channels, padded_channels;
  const std::int32_t* offset;  // (channels): makes them sums of q - z_in
  unsigned long long*
      moments;  // (channels, 3): sum in two's complement, squares' low and high 32 bits (core/moments.hpp); zeroed
};
[[nodiscard]] cudaError_t launch_moments(const MomentSums&, cudaStream_t);

/// The network's input as a matrix: (images, positions, inner), padding filled with the zero point.
/// codes: (images, channels, side, side).
struct InputWindows {
  const std::uint8_t* codes;
  std::uint8_t* matrix;
  int images, channels, side, kernel, stride, padding, out_side, inner;
  std::uint8_t zero_point;
};
[[nodiscard]] cudaError_t launch_input_windows(const InputWindows&, cudaStream_t);

}  // namespace triseg
