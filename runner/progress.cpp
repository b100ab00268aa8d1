#include "runner/progress.hpp"

#include <spdlog/spdlog.h>

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace triseg {
namespace {

std::string clock_time(double seconds) {
  const auto s = static_cast<long long>(seconds + 0.5);
  return s >= 3600 ? fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
                   : fmt::format("{}:{:02}", s / 60, s % 60);
}

double seconds_between(std::chrono::steady_clock::time_point a, std::chrono::steady_clock::time_point b) {
  return std::chrono::duration<double>(b - a).count();
}

/// True while a bar stands on the terminal's line, the cursor behind it.
bool line_is_open = false;

/// Columns of the terminal; 80 where it does not say.
int terminal_columns() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

std::string progress_line(double share, std::string_view facts, int columns) {
  constexpr int widest = 24, narrowest = 6, frame = 3;  // "[", "] "
  const int left = columns - static_cast<int>(facts.size()) - frame, width = std::min(widest, left);
  if (width < narrowest) return std::string(facts.substr(0, static_cast<std::size_t>(std::max(columns, 0))));
  const int filled = static_cast<int>(double(width) * std::clamp(share, 0.0, 1.0));
  return fmt::format("[{}{}] {}", std::string(filled, '#'), std::string(width - filled, '.'), facts);
}

void clear_progress_line() {
  if (std::exchange(line_is_open, false)) std::fputs("\r\033[K", stderr);
}

Progress::Progress(std::string label, std::uint64_t done, std::uint64_t total, double interval_seconds,
                   std::string rest)
    : label_(std::move(label)),
      rest_(rest.empty() ? "" : " + " + rest),
      first_(done),
      total_(total),
      interval_seconds_(interval_seconds),
      terminal_(isatty(STDERR_FILENO) != 0),
      silent_(!spdlog::should_log(spdlog::level::info)),
      start_(Clock::now()),
      last_(start_) {}

Progress::~Progress() {
  if (!silent_ && std::exchange(line_is_open, false)) std::fputc('\n', stderr);
}

void Progress::update(std::uint64_t done, std::string_view note) {
  if (silent_) return;
  const auto now = Clock::now();
  const bool last = done >= total_;
  if (!last && seconds_between(last_, now) < (terminal_ ? 0.1 : interval_seconds_)) return;
  last_ = now;
  const double elapsed = seconds_between(start_, now), rate = double(done - first_) / (elapsed > 0 ? elapsed : 1e-9);
  const std::string eta = rate > 0 ? clock_time(double(total_ - done) / rate) : "?";
  const std::string facts =
      fmt::format("{}/{}, {:.1f} {}/s, ETA {}{}, {}", done, total_, rate, label_, eta, rest_, note);
  if (!terminal_) {
    std::fprintf(stderr, "%s: %s\n", label_.c_str(), facts.c_str());
    return;
  }
  // The last column stays free: a full line would begin a new one on some terminals.
  const std::string line = progress_line(double(done) / double(total_), facts, terminal_columns() - 1);
  std::fprintf(stderr, "\r\033[K%s%s", line.c_str(), last ? "\n" : "");
  std::fflush(stderr);
  line_is_open = !last;
}

}  // namespace triseg
