#include "worker/cpu/bordered_codes.hpp"

#include "worker/cpu/convolution.hpp"

#include <cstring>

namespace triseg {

BorderedCodes::BorderedCodes(const CodeLayout& layout, const Window& window, std::uint8_t code, int images,
                             int code_bytes)
    : plain_(layout),
      layout_(layout),
      top_(window.pad_top),
      left_(window.pad_left),
      images_(images),
      code_bytes_(code_bytes) {
  layout_.height += window.pad_top + window.pad_bottom;
  layout_.width += window.pad_left + window.pad_right;
  memory_.assign(images * layout_.size() * code_bytes + codes_slack, 0);
  for (std::size_t i = 0; i < images * layout_.size(); ++i) memory_[i * code_bytes] = code;
}

const std::uint8_t* BorderedCodes::fill(const std::uint8_t* codes) {
  const std::size_t row = std::size_t(plain_.width) * plain_.lanes;
  for (int n = 0; n < images_; ++n) {
    for (int y = 0; y < plain_.height; ++y, codes += row) {
      const std::size_t at = n * layout_.size() + (std::size_t(y + top_) * layout_.width + left_) * plain_.lanes;
      std::uint8_t* const to = &memory_[at * code_bytes_];
      if (code_bytes_ == 1) std::memcpy(to, codes, row);
      else
        for (std::size_t i = 0; i < row; ++i) to[2 * i] = codes[i];
    }
  }
  return memory_.data();
}

bool has_padding(const Window& w) { return w.pad_top > 0 || w.pad_left > 0 || w.pad_bottom > 0 || w.pad_right > 0; }

}  // namespace triseg
