#include "runner/progress.hpp"

#include <spdlog/fmt/fmt.h>

#include <unistd.h>

#include <cstdio>

namespace triseg {
namespace {

std::string clock_time(double seconds) {
  const auto s = static_cast<long long>(seconds + 0.5);
  return s >= 3600 ? fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60) : fmt::format("{}:{:02}", s / 60, s % 60);
}

double seconds_between(std::chrono::steady_clock::time_point a, std::chrono::steady_clock::time_point b) {
  return std::chrono::duration<double>(b - a).count();
}

}  // namespace

Progress::Progress(std::string label, std::uint64_t done, std::uint64_t total, double interval_seconds)
    : label_(std::move(label)), first_(done), total_(total), interval_seconds_(interval_seconds),
      terminal_(isatty(STDERR_FILENO) != 0), start_(Clock::now()), last_(start_) {}

Progress::~Progress() {
  if (terminal_ && shown_) std::fputc('\n', stderr);
}

void Progress::update(std::uint64_t done, std::string_view note) {
  const auto now = Clock::now();
  const bool last = done >= total_;
  if (!last && seconds_between(last_, now) < (terminal_ ? 0.1 : interval_seconds_)) return;
  last_ = now;
  const double elapsed = seconds_between(start_, now), rate = double(done - first_) / (elapsed > 0 ? elapsed : 1e-9);
  const std::string eta = rate > 0 ? clock_time(double(total_ - done) / rate) : "?";
  const std::string facts =
      fmt::format("{}/{}, {:.1f} {}/s, ETA {}, {}", done, total_, rate, label_, eta, note);
  if (terminal_) {
    constexpr int width = 24;
    const int filled = static_cast<int>(double(width) * double(done) / double(total_));
    std::fprintf(stderr, "\r\033[K[%s%s] %s", std::string(filled, '#').c_str(), std::string(width - filled, '.').c_str(),
                 facts.c_str());
    std::fflush(stderr);
    shown_ = true;
  } else {
    std::fprintf(stderr, "%s: %s\n", label_.c_str(), facts.c_str());
  }
}

}  // namespace triseg
