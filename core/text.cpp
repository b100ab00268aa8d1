#include "core/text.hpp"

#include <spdlog/fmt/fmt.h>

#include <cstddef>
#include <cstdint>

namespace triseg {
namespace {

/// Bytes of the character that the text begins with (Unicode 15, table 3-7); 0 if it begins with none.
std::size_t character_size(std::string_view text) {
  const auto in = [&](std::size_t i, int least, int most) {
    return i < text.size() && std::uint8_t(text[i]) >= least && std::uint8_t(text[i]) <= most;
  };
  const auto follows = [&](std::size_t i) { return in(i, 0x80, 0xbf); };
  const int first = std::uint8_t(text[0]);
  if (first < 0x80) return 1;
  if (in(0, 0xc2, 0xdf)) return follows(1) ? 2 : 0;
  // Longer spellings than needed, halves of surrogate pairs and numbers above 0x10ffff are none.
  if (in(0, 0xe0, 0xef)) return in(1, first == 0xe0 ? 0xa0 : 0x80, first == 0xed ? 0x9f : 0xbf) && follows(2) ? 3 : 0;
  if (in(0, 0xf0, 0xf4))
    return in(1, first == 0xf0 ? 0x90 : 0x80, first == 0xf4 ? 0x8f : 0xbf) && follows(2) && follows(3) ? 4 : 0;
  return 0;
}

}  // namespace

std::string valid_utf8(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const std::size_t size = character_size(text);
    if (size > 0) result += text.substr(0, size);
    else result += fmt::format("\\x{:02x}", std::uint8_t(text[0]));
    text.remove_prefix(size > 0 ? size : 1);
  }
  return result;
}

std::string excerpt(const std::string& text) {
  constexpr std::size_t longest = 40;
  return text.size() <= longest ? text : text.substr(0, longest) + "...";
}

}  // namespace triseg
