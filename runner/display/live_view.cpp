#include "runner/display/live_view.hpp"

#include "core/terminal.hpp"

#include <spdlog/fmt/fmt.h>

#include <cstdio>
#include <mutex>
#include <utility>

namespace triseg {
namespace {

constexpr int least_columns = 40, least_rows = static_cast<int>(live_view_lines) + 1;

std::mutex mutex;
std::vector<std::string> standing;  // lines; none: no live view stands

/// The lines as they are drawn from the cursor on, which is back there afterwards. The last column stays free: a full
/// line would begin a new one on some terminals.
std::string drawn(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines)
    text += (text.empty() ? "" : "\n") + line.substr(0, static_cast<std::size_t>(terminal_size().columns - 1));
  return text + "\r" + (lines.size() > 1 ? fmt::format("\033[{}A", lines.size() - 1) : "");
}

void write(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace

bool live_view_possible() {
  if (!stderr_is_terminal()) return false;
  const auto [columns, rows] = terminal_size();
  return columns >= least_columns && rows >= least_rows;
}

void show_live_view(std::vector<std::string> lines) {
  const std::lock_guard lock(mutex);
  standing = std::move(lines);
  write(std::string(line_start()) + drawn(standing));
}

void end_live_view() {
  const std::lock_guard lock(mutex);
  if (!std::exchange(standing, {}).empty()) write(line_start());
}

void print_above_live_view(std::string_view text) {
  const std::lock_guard lock(mutex);
  if (standing.empty()) return write(text);
  write(fmt::format("{}{}{}", line_start(), text, drawn(standing)));
}

}  // namespace triseg
