// What the CUDA engine runs on the device. Codes lie as (instances, height, width, channels), channels rounded up to 16
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
  int offset;  // vectors
  short dy, dx;
};
/// A dy outside every image: the tap reads zeros.
inline constexpr short no_tap = 0x4000;

/// An addition's tables hold codes of the sum times 2^add_fraction.
inline constexpr int add_fraction = 20;

/// An addition of a value to what a convolution makes, in the same pass.
struct Addend {
  const std::uint8_t* codes;                  // (instances or images, positions, padded_channels), or null: none
  bool of_images;                             ///< the same for all candidates
  const std::int32_t *product_table, *table;  // (256): of the convolution's codes; of these
  int lowest, highest;                        // of the sum's codes
};

/// From accumulators to codes, for the layer that is run.
struct Epilogue {
  const float* multiplier;          // (candidates or 1, padded_channels)
  const std::int32_t* bias;         // likewise; holds the correction for the input's zero point, too
  int requantization_stride;        // between candidates: padded_channels, or 0 if all share one
  int zero_point, lowest, highest;  // of the codes
  float least, most;                // lowest and highest less zero_point
  Addend addend;                    // what is looked up and stored is the sum
  const std::uint8_t* tables;       // (candidates, 256), or null: not a site
  int table_stride;                 // bytes between candidates
  std::uint8_t* output;             // (instances, pooled_height, pooled_width, padded_channels)
  std::uint32_t* attention;         // (instances, positions or channels), zeroed; or null
  bool attention_per_channel;       // of a value of one position
  std::uint8_t* codes;              // (instances, positions, padded_channels) before the table, or null: not traced
};

/// Divides numbers below 2^31 by a number that is known before the kernel runs, with a product and a shift: Granlund
/// and Montgomery, "Division by invariant integers using multiplication", 1994, figure 4.1.
struct Divisor {
  unsigned value = 1, multiplier = 1, shift = 0;

  Divisor() = default;
  explicit Divisor(unsigned n) : value(n) {
    while ((std::uint64_t{1} << shift) < n) ++shift;
    multiplier = static_cast<unsigned>((((std::uint64_t{1} << shift) - n) << 32) / n + 1);
  }
#ifdef __CUDACC__
  __device__ unsigned quotient(unsigned n) const { return (__umulhi(n, multiplier) + n) >> shift; }
#endif
};

/// What a step makes: its node's value, or the maximum over windows of it.
struct OutputShape {
  int height, width;
  int pool;                  ///< side and stride of the windows; 1: none
  int windows_y, windows_x;  ///< pooling windows a column and a row, the last maybe incomplete
  int pooled_height, pooled_width;
  int channels, padded_channels;
  int images;     ///< of each candidate
  int instances;  ///< candidates * images
  /// Rows of an instance, of a pooling window, windows of a row, side of a window, vectors of a position, images, and
  /// positions of all images.
  Divisor by_instance, by_window, by_row, by_pool, by_vectors, by_images, by_candidate;

  __host__ __device__ int positions() const { return height * width; }
};

/// A convolution (a fully connected layer is one over its whole input) as a matrix product whose rows are positions,
/// gathered as they are loaded. u8 x s8 -> s32 on tensor cores: exact for all weights.
struct Convolution {
  int height, width, channels;  // input; channels a multiple of channel_vector
  int stride_y, stride_x, pad_top, pad_left;
  int inner;            // a multiple of inner_block
  int last_vectors;     // of the last inner_block that have weights: 1 to 8
  int input_instances;  // instance i reads input i % input_instances
  const std::uint8_t* input;
  const std::int8_t* weights;  // (padded_channels + output_block, inner), zeros beyond
  const Tap* taps;             // (inner / channel_vector)
  std::int32_t* sums;          // (instances, positions, padded_channels), bias not included; or null: not stored
};

/// Runs the convolution and, unless epilogue.output is null, requantizes, adds, looks up, measures attention and pools.
[[nodiscard]] cudaError_t launch_convolution(const Convolution&, const OutputShape&, const Epilogue&, cudaStream_t);

/// cudaSuccess if this build has code that runs on the current device.
[[nodiscard]] cudaError_t find_kernels();

/// The epilogue alone, from stored sums of one candidate's images (images, positions, padded_channels), for all
/// candidates.
[[nodiscard]] cudaError_t launch_epilogue(const std::int32_t* sums, const OutputShape&, const Epilogue&, cudaStream_t);

/// Maps of one candidate's images for all: from (elements), to (candidates, elements).
[[nodiscard]] cudaError_t launch_repetition(const std::uint32_t* from, std::uint32_t* to, long long elements,
                                            int candidates, cudaStream_t);

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

}  // namespace triseg
