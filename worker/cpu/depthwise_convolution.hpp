// Depthwise convolutions: every channel has a window of its own.
#pragma once

#include "worker/cpu/bordered_codes.hpp"
#include "worker/cpu/convolution.hpp"
#include "worker/cpu/dot_kernels.hpp"
#include "worker/cpu/operation_kernels.hpp"

#include <optional>
#include <vector>

namespace triseg {

class DepthwiseConvolution final : public Convolution {
 public:
  /// True if every output channel reads one input channel, its own.
  static bool supports(const QuantizedNetwork& network, std::size_t node);

  /// Without kernels: plain loops.
  DepthwiseConvolution(const QuantizedNetwork& network, std::size_t node, const DotKernels* kernels);

  void load(const std::uint8_t* codes) override;
  const std::int32_t* rows(int image, int first, int count) override;

 private:
  std::optional<BorderedCodes> border_;
  CodeLayout output_;
  const DotKernels* kernels_;
  DepthwiseDots dots_;                        // with kernels
  std::vector<std::uint8_t> weights_, rows_;  // likewise: DepthwiseDots::weights, rows
  DepthwisePass pass_;                        // without
  std::vector<std::int16_t> taps_;            // likewise, (height, width, lanes)
  const std::uint8_t* codes_ = nullptr;       // loaded
  std::vector<std::int32_t> sums_;            // of the rows last asked for
};

}  // namespace triseg
