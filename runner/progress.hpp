// How far a search is: a bar on a terminal, else a plain line now and then. On stderr.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace triseg {

class Progress {
 public:
  /// `done` of `total` lie behind already (a resumed run); the rate counts from there. interval_seconds: between lines.
  /// rest: what follows that the estimated time does not include, "final scoring"; may be empty.
  Progress(std::string label, std::uint64_t done, std::uint64_t total, double interval_seconds, std::string rest = "");
  ~Progress();

  /// `note` stands behind the rate: "best reward -0.0312".
  void update(std::uint64_t done, std::string_view note);

 private:
  using Clock = std::chrono::steady_clock;
  std::string label_, rest_;
  std::uint64_t first_, total_;
  double interval_seconds_;
  bool terminal_;
  bool silent_;  ///< as the log is, below warnings
  Clock::time_point start_, last_;
};

/// A bar and what it is about in at most `columns` columns: the bar gives way first, then the end of the facts.
std::string progress_line(double share, std::string_view facts, int columns);

/// Clears the bar that stands on the terminal's line, if one does, so that a message can take its place.
void clear_progress_line();

}  // namespace triseg
