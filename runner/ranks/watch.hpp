// Waiting for other ranks, but not for ever, and not at the expense of those who compute.
#pragma once

#include "runner/ranks/communicator.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace triseg {

/// Seconds that one operation may take.
///   rank 0   `timeout`: it is to find out first, and says whom it missed
///   others   three times as long, for rank 0 may wait, then work by itself, then wait again; and a second more
///            each rank, so that one alone says that rank 0 is missing
/// Before the first phase every rank has a minute at least: GPUs and their libraries start slowly.
double limit_of(int rank, double timeout, bool started);

/// The peer of an operation that waits for all.
inline constexpr int any_rank = -1;

/// Seconds that this process has waited, from one look at the clock to the next. Of a longer pause than a second only
/// a second counts: the process did not run, stopped or suspended, and the others perhaps neither.
class Patience {
 public:
  using Time = std::chrono::steady_clock::time_point;

  void begin(Time now) { last_ = now, seconds_ = 0; }
  void look(Time now);
  double seconds() const { return seconds_; }

 private:
  Time last_;
  double seconds_ = 0;
};

class Watch {
 public:
  /// library: what carries the messages, "MPI", for errors.
  Watch(std::string library, std::shared_ptr<const Communicator> ranks, double timeout)
      : library_(std::move(library)), ranks_(std::move(ranks)), timeout_(timeout) {}

  /// What the ranks are at, "iteration 17".
  void set_phase(std::string_view phase) { phase_ = phase; }
  std::string_view phase() const { return phase_.empty() ? "start" : std::string_view(phase_); }

  /// Names what follows, "gather", and starts its clock (Patience).
  void begin(std::string_view operation);
  const std::string& operation() const { return operation_; }

  /// Returns once done() is true. It is asked without pause for two milliseconds, then every 0.1 ms, so that the core
  /// is free in between. Throws Error "MPI: gather: rank 2 on host H did not answer within 600 s (iteration 17)"; peer:
  /// that rank.
  void wait(int peer, const std::function<bool()>& done);

 private:
  std::string library_;
  std::shared_ptr<const Communicator> ranks_;
  double timeout_;
  std::string phase_, operation_;
  double limit_ = 0;  ///< [s]
  Patience patience_;
};

}  // namespace triseg
