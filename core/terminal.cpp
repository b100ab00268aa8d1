#include "core/terminal.hpp"

#include <spdlog/fmt/fmt.h>

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>

namespace triseg {
namespace {

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

}  // namespace

bool stderr_is_terminal() {
  const std::string_view kind = variable("TERM");
  return ::isatty(STDERR_FILENO) != 0 && !kind.empty() && kind != "dumb";
}

TerminalSize terminal_size() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0) return {};
  const TerminalSize unknown;
  return {size.ws_col > 0 ? size.ws_col : unknown.columns, size.ws_row > 0 ? size.ws_row : unknown.rows};
}

std::string colored(Color color, std::string_view text) {
  if (!stderr_is_terminal() || !variable("NO_COLOR").empty()) return std::string(text);
  return fmt::format("\033[{}m{}\033[0m", static_cast<int>(color), text);
}

std::string_view line_start() { return stderr_is_terminal() ? "\r\033[J" : ""; }

}  // namespace triseg
