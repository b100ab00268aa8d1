// One layer's exact sums of code times weight, computed by oneDNN. oneDNN appears nowhere else.
#pragma once

#include "network/network.hpp"
#include "network/quantized_network.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace triseg {

/// How one image's codes lie in memory: (side + 2 * border, side + 2 * border, lanes), channels in the first lanes.
struct CodeLayout {
  int channels = 0;
  int lanes = 0;
  int side = 1;
  int border = 0;  ///< rows and columns on every side that hold the code of real zero

  std::size_t size() const { return std::size_t(side + 2 * border) * (side + 2 * border) * lanes; }
};

/// The layout of the network input: four lanes for up to four channels. Its zero point need not be 0, so what the first
/// convolution would pad is there already, as a border.
CodeLayout input_layout(const Network& network);
/// The layout of a layer's output after pooling: lanes are a multiple of 8, the ones past the channels are ignored.
CodeLayout output_layout(const Layer& layer);

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

/// sum = sum of q * w over the window, q the plain codes: bias and zero point are the caller's (bias_of_plain_codes).
/// Always runs `tile` images. Not thread-safe. oneDNN's failures are thrown as Error that names operation and layer.
class OneDnnLayer {
 public:
  /// Chooses how to run. CPUs without VNNI add pairs of products in 16 bits, which saturates for large weights: if the
  /// self-test finds that, the weights become w = a + b with |a|, |b| <= 64, two products that are always exact, and
  /// their sums are added. Throws Error naming the layer if the self-test fails even so.
  OneDnnLayer(const Layer& shape, const QuantizedLayer& layer, const CodeLayout& input, int tile);
  ~OneDnnLayer();
  OneDnnLayer(OneDnnLayer&&) noexcept;

  /// codes: (tile, input.size()); sums: (tile, out_side, out_side, output lanes).
  void run(const std::uint8_t* codes, std::int32_t* sums);

  /// "int8 (brgconv:avx512_core_vnni)"
  const std::string& how() const { return how_; }

 private:
  class Product;

  bool matches_reference();

  const Layer& shape_;
  const QuantizedLayer& layer_;
  CodeLayout input_;
  int tile_;
  std::string how_;
  std::vector<std::unique_ptr<Product>> parts_;  // one, or the two halves of the weights
  std::vector<std::int32_t> second_sums_;        // (tile, positions, lanes) of the second half
};

/// bias[c] - z_in * sum(w[c]): what turns sums of plain codes into the layer's accumulators. (out_channels)
std::vector<std::int32_t> bias_of_plain_codes(const QuantizedLayer& layer, const std::vector<std::int32_t>& bias);

}  // namespace triseg
