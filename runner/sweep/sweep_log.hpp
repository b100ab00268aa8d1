// What a sweep says while its runs are done.
#pragma once

#include "runner/sweep/sweep_table.hpp"

#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>

namespace spdlog {
class logger;
}

namespace triseg {

/// What the sweep itself says, while its searches are silent: they log warnings and errors alone as long as it lives.
/// From any thread.
class SweepLog {
 public:
  explicit SweepLog(std::size_t runs);
  ~SweepLog();

  void say(const std::string& text);
  /// The same of a run (SweepTable::runs): "[3/18] ID key=value, ...: what".
  void say_of(std::size_t index, const SweepTable& table, const std::string& what);

  /// From now on a terminal shows how many of `runs` have got as far as this pass takes them: all but `legs` at first.
  void show_pass(std::size_t runs, std::size_t legs);
  void leg_begins();
  /// done: as far as it was to go.
  void leg_ends(bool done);

 private:
  using Clock = std::chrono::steady_clock;
  struct Pass {
    std::size_t runs = 0, done_before = 0, done = 0, running = 0;
    Clock::time_point start;
  };

  void show() const;

  std::mutex mutex_;
  Pass pass_;  ///< of no runs: not shown
  std::size_t runs_;
  std::shared_ptr<spdlog::logger> own_;
};

}  // namespace triseg
