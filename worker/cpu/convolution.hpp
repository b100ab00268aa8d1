// A convolution's exact sums of code times weight, whichever way this CPU computes them.
#pragma once

#include "network/quantized_network.hpp"
#include "worker/cpu/image_operation.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace triseg {

/// sum = sum of q * w over the window, q the plain codes, padding at the code of real zero: bias and zero point are the
/// caller's (bias_of_plain_codes). Not thread-safe.
class Convolution {
 public:
  virtual ~Convolution() = default;

  /// Images of one load().
  int tile() const { return tile_; }
  /// True if asking for a few rows at a time costs nothing, which keeps sums in the nearest cache.
  bool by_rows() const { return by_rows_; }
  /// "int8 (AVX512-VNNI)"
  const std::string& how() const { return how_; }

  /// codes: (tile, input layout), which must stay until the last call of rows(); codes_slack bytes behind them can be
  /// read.
  virtual void load(const std::uint8_t* codes) = 0;
  /// The sums of output rows first .. first + count - 1 of a loaded image: (count, width, output lanes), valid until
  /// the next call. Lanes past the channels get 0.
  virtual const std::int32_t* rows(int image, int first, int count) = 0;

 protected:
  Convolution(int tile, bool by_rows, std::string how) : tile_(tile), by_rows_(by_rows), how_(std::move(how)) {}

 private:
  int tile_;
  bool by_rows_;
  std::string how_;
};

/// Bytes behind codes that a convolution may read, and which do not count.
inline constexpr std::size_t codes_slack = 64;

/// The fastest way on this CPU that gives the reference's sums on random and extreme codes, of at most so many images.
/// Throws Error naming the node if there is none. `network` must outlive it.
std::unique_ptr<Convolution> make_convolution(const QuantizedNetwork& network, std::size_t node, int most_images);

/// True if it gives the reference's sums for up to two images: one of all 255, where 16-bit pair sums saturate first,
/// and one random, half of its codes 0 or 255.
bool matches_reference(Convolution& convolution, const QuantizedNetwork& network, std::size_t node);

/// bias[c] - z_in * sum(w[c]): what turns sums of plain codes into the convolution's accumulators. (out_channels)
std::vector<std::int32_t> bias_of_plain_codes(const QuantizedNetwork& network, std::size_t node,
                                              const std::vector<std::int32_t>& bias);

/// The weights as (out lanes, height, width, in lanes), zero in the lanes past the channels. Those of a fully connected
/// layer, (C,H,W), are the same with a window as large as the plane. For convolutions of one group.
std::vector<std::int8_t> lane_weights(const std::vector<std::int8_t>& weights, int area, const CodeLayout& input,
                                      const CodeLayout& output);

}  // namespace triseg
