// Convolutions of one group straight from codes as they lie, with the dot products of dot_kernels.hpp.
#pragma once

#include "worker/cpu/bordered_codes.hpp"
#include "worker/cpu/convolution.hpp"
#include "worker/cpu/dot_kernels.hpp"

#include <optional>
#include <vector>

namespace triseg {

class DirectConvolution final : public Convolution {
 public:
  /// True if these kernels can run this convolution of one group, and exactly.
  static bool supports(const QuantizedNetwork& network, std::size_t node, const DotKernels& kernels);

  DirectConvolution(const QuantizedNetwork& network, std::size_t node, const DotKernels& kernels);

  void load(const std::uint8_t* codes) override;
  const std::int32_t* rows(int image, int first, int count) override;

 private:
  const DotKernels& kernels_;
  std::optional<BorderedCodes> border_;  // where the window needs it, or codes are widened
  CodeLayout output_;
  DotPass pass_;
  std::vector<std::size_t> runs_;
  std::vector<std::uint8_t> weights_;
  const std::uint8_t* codes_ = nullptr;  // loaded
  std::vector<std::int32_t> sums_;       // of the rows last asked for
};

}  // namespace triseg
