// A convolution's exact sums of code times weight. oneDNN appears nowhere else.
#pragma once

#include "network/quantized_network.hpp"
#include "worker/cpu/image_operation.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace triseg {

/// Keeps oneDNN, which runs on OpenMP, on the calling thread alone for the time of its life.
class OneThread {
 public:
  OneThread();
  ~OneThread();
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int threads_before_;
};

/// sum = sum of q * w over the window, q the plain codes, padding at the code of real zero: bias and zero point are the
/// caller's (bias_of_plain_codes). Always runs tile() images. Not thread-safe. oneDNN's failures are thrown as Error
/// that names operation and node. Depthwise convolutions run without oneDNN.
class OneDnnConvolution {
 public:
  /// Chooses how to run. CPUs without VNNI add pairs of products in 16 bits, which saturates for large weights: if the
  /// self-test finds that, the weights become w = a + b with |a|, |b| <= 64, two products that are always exact, and
  /// their sums are added. Throws Error naming the node if the self-test fails even so. `network` must outlive it.
  OneDnnConvolution(const QuantizedNetwork& network, std::size_t node, int most_images);
  ~OneDnnConvolution();
  OneDnnConvolution(OneDnnConvolution&&) noexcept;

  /// Images of one run: as many as keep their sums in a core's cache.
  int tile() const { return tile_; }

  /// codes: (tile, input layout); sums: (tile, output layout). Lanes past the channels get 0.
  void run(const std::uint8_t* codes, std::int32_t* sums);

  /// "int8 (brgconv:avx512_core_vnni)"
  const std::string& how() const { return how_; }

 private:
  class Product;

  const Node& node() const { return network_.network.nodes[number_]; }
  bool matches_reference();
  void run_depthwise(const std::uint8_t* codes, std::int32_t* sums) const;

  const QuantizedNetwork& network_;
  std::size_t number_;
  CodeLayout input_, output_;
  bool depthwise_, padded_here_;
  int tile_;
  CodeLayout padded_;                   // input_, with the border that the window needs
  std::vector<std::uint8_t> bordered_;  // (tile, padded_), if padded_here_
  std::vector<std::int16_t> taps_;      // depthwise: (height, width, lanes)
  std::string how_;
  std::vector<std::unique_ptr<Product>> parts_;  // one, or the two halves of the weights
  std::vector<std::int32_t> second_sums_;        // (tile, output_) of the second half
};

/// bias[c] - z_in * sum(w[c]): what turns sums of plain codes into the convolution's accumulators. (out_channels)
std::vector<std::int32_t> bias_of_plain_codes(const QuantizedNetwork& network, std::size_t node,
                                              const std::vector<std::int32_t>& bias);

}  // namespace triseg
