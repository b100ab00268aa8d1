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

bool is_control(std::string_view character) {
  const auto byte = [&](std::size_t i) { return int(std::uint8_t(character[i])); };
  if (character.size() == 1) return byte(0) < 0x20 || byte(0) == 0x7f;
  if (character.size() == 2) return (byte(0) == 0xc2 && byte(1) < 0xa0) || character == "\u061c";
  const int last = byte(2);
  if (character.starts_with("\xe2\x80")) return last == 0x8e || last == 0x8f || (last >= 0xa8 && last <= 0xae);
  return character.starts_with("\xe2\x81") && last >= 0xa6 && last <= 0xa9;
}

/// Copies the characters that `keeps` accepts and spells out the bytes of all others.
template <class Keeps>
std::string spelled_out(std::string_view text, const Keeps& keeps) {
  std::string result;
  while (!text.empty()) {
    const std::size_t size = character_size(text);
    const std::string_view character = text.substr(0, size > 0 ? size : 1);
    if (size > 0 && keeps(character)) result += character;
    else
      for (const char byte : character) result += fmt::format("\\x{:02x}", std::uint8_t(byte));
    text.remove_prefix(character.size());
  }
  return result;
}

}  // namespace

std::string valid_utf8(std::string_view text) {
  return spelled_out(text, [](std::string_view) { return true; });
}

std::string counted(std::uint64_t number, std::string_view thing) {
  return fmt::format("{} {}{}", number, thing, number == 1 ? "" : "s");
}

std::string printable(std::string_view text) {
  return spelled_out(text, [](std::string_view character) { return !is_control(character); });
}

std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == text.npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string excerpt(const std::string& text) {
  constexpr std::size_t longest = 40;
  return text.size() <= longest ? text : text.substr(0, longest) + "...";
}

}  // namespace triseg
