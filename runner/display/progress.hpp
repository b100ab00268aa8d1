// How far a piece of work is: a live view on a terminal (live_view.hpp), else a plain line now and then. On stderr.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace triseg {

class Progress {
 public:
  /// `done` of `total` lie behind already (a resumed run); the rate counts from there. interval_seconds: between lines.
  /// rest: what follows that the estimated time does not include, "final scoring"; may be empty.
  Progress(std::string label, std::uint64_t done, std::uint64_t total, double interval_seconds, std::string rest = "");
  /// Leaves a plain line where a live view stands.
  ~Progress();

  /// From now on, as what is to be done turns out to be less or more.
  void set_total(std::uint64_t total) { total_ = total; }

  /// facts: what stands behind the rate, such as "best reward -0.0312".
  void update(std::uint64_t done, const std::vector<std::string>& facts);

 private:
  using Clock = std::chrono::steady_clock;
  void print_line();

  std::string label_, rest_;
  std::uint64_t first_, total_;
  double interval_seconds_;
  bool silent_;           ///< as the log is, below warnings
  bool is_live_ = false;  ///< a live view of it stands
  std::string line_;      ///< the plain line of the last update that was shown
  Clock::time_point start_, last_;
};

/// The lines of a live view of so many columns: a bar with the share and `amount` behind it, "24/192 episodes", and as
/// many of the facts as fit below.
std::vector<std::string> progress_lines(double share, const std::string& amount, const std::vector<std::string>& facts,
                                        int columns);

/// "1:05", "2:00:00".
std::string clock_time(double seconds);

}  // namespace triseg
