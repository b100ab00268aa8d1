// The one exception type of triseg. Libraries throw it and never print; only main() turns it into a line on stderr.
#pragma once

#include <spdlog/fmt/fmt.h>

#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>

namespace triseg {

/// A failure whose what() is one line for the user: what went wrong, where, and what to do about it. A NUL in the
/// message, where what() would end, becomes \x00.
class Error : public std::runtime_error {
 public:
  explicit Error(std::string message) : std::runtime_error(with_nul_spelled_out(std::move(message))) {}

 private:
  static std::string with_nul_spelled_out(std::string message) {
    for (std::size_t at = 0; (at = message.find('\0', at)) != std::string::npos;) message.replace(at, 1, "\\x00");
    return message;
  }
};

/// Throws Error with a fmt-formatted message.
template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace triseg
