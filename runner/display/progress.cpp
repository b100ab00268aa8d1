#include "runner/display/progress.hpp"

#include "core/terminal.hpp"
#include "runner/display/live_view.hpp"

#include <spdlog/sinks/sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace triseg {
namespace {

double seconds_between(std::chrono::steady_clock::time_point a, std::chrono::steady_clock::time_point b) {
  return std::chrono::duration<double>(b - a).count();
}

}  // namespace

std::string clock_time(double seconds) {
  const auto s = static_cast<long long>(seconds + 0.5);
  return s >= 3600 ? fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
                   : fmt::format("{}:{:02}", s / 60, s % 60);
}

std::vector<std::string> progress_lines(double share, const std::string& amount, const std::vector<std::string>& facts,
                                        int columns) {
  constexpr int widest = 40, narrowest = 6, frame = 3;  // "[", "] "
  const double within = std::clamp(share, 0.0, 1.0);
  const std::string behind = fmt::format("{:.0f} %, {}", 100 * within, amount);
  const int width = std::clamp(columns - 1 - frame - static_cast<int>(behind.size()), narrowest, widest);
  const auto filled = static_cast<std::size_t>(double(width) * within);
  std::vector<std::string> lines{
      fmt::format("[{}{}] {}", std::string(filled, '#'), std::string(std::size_t(width) - filled, '.'), behind)};
  for (const std::string& fact : facts) {
    const bool fits = static_cast<int>(lines.back().size() + fact.size()) + 2 < columns;
    if (lines.size() > 1 && fits) lines.back() += ", " + fact;
    else if (lines.size() < live_view_lines) lines.push_back(fact);
    else break;
  }
  return lines;
}

Progress::Progress(std::string label, std::uint64_t done, std::uint64_t total, double interval_seconds,
                   std::string rest)
    : label_(std::move(label)),
      rest_(rest.empty() ? "" : " + " + rest),
      first_(done),
      total_(total),
      interval_seconds_(interval_seconds),
      silent_(!spdlog::should_log(spdlog::level::info) ||
              !spdlog::default_logger()->sinks().front()->should_log(spdlog::level::info)),
      start_(Clock::now()),
      last_(start_) {}

Progress::~Progress() {
  if (is_live_) print_line();
}

void Progress::update(std::uint64_t done, const std::vector<std::string>& facts) {
  if (silent_) return;
  const auto now = Clock::now();
  const bool last = done >= total_, live = live_view_possible() && !last;
  const bool ends_view = is_live_ && !live;  // the window has become too small
  if (!last && !ends_view && seconds_between(last_, now) < (live ? 0.1 : interval_seconds_)) return;
  last_ = now;
  const double elapsed = seconds_between(start_, now), rate = double(done - first_) / (elapsed > 0 ? elapsed : 1e-9);
  const std::string eta = rate > 0 ? clock_time(double(total_ - done) / rate) : "?";
  std::vector<std::string> all{fmt::format("{:.1f} {}/s", rate, label_), fmt::format("ETA {}{}", eta, rest_)};
  all.insert(all.end(), facts.begin(), facts.end());
  line_ = fmt::format("{}: {}/{}, {}", label_, done, total_, fmt::join(all, ", "));
  if (!live) return print_line();
  show_live_view(progress_lines(double(done) / double(total_), fmt::format("{}/{} {}", done, total_, label_), all,
                                terminal_size().columns));
  is_live_ = true;
}

void Progress::print_line() {
  if (std::exchange(is_live_, false)) end_live_view();
  print_above_live_view(line_ + "\n");
}

}  // namespace triseg
