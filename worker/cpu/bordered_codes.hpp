// Codes with the border around them that a convolution's window needs.
#pragma once

#include "network/network.hpp"
#include "worker/cpu/image_operation.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace triseg {

/// A copy of images of one layout inside a border of one code.
class BorderedCodes {
 public:
  /// code_bytes: 1, or 2 for codes that are widened to 16 bits.
  BorderedCodes(const CodeLayout& layout, const Window& window, std::uint8_t code, int images, int code_bytes = 1);

  /// With the border.
  const CodeLayout& layout() const { return layout_; }
  /// codes: (images, plain layout). Returns (images, layout()), with codes_slack bytes behind.
  const std::uint8_t* fill(const std::uint8_t* codes);

 private:
  CodeLayout plain_, layout_;
  int top_, left_, images_, code_bytes_;
  std::vector<std::uint8_t> memory_;
};

bool has_padding(const Window& window);

}  // namespace triseg
