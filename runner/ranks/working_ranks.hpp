// How many ranks score: all, unless fewer are faster.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace triseg {

/// Chooses by what iterations take. Records do not depend on who makes them, so neither do results on the choice. The
/// first iteration warms up; then all ranks and half of them take turns, three iterations each, or one of the half
/// where that takes a fifth longer. If the half has the fastest, it is tried against its own half, and so on. What an
/// iteration of w ranks takes is a constant, work / w and messages in proportion to w: no less than with w ranks, once
/// it is more with half of them.
class WorkingRanks {
 public:
  /// `ranks`: those that can work, at least one.
  explicit WorkingRanks(std::size_t ranks);

  /// Ranks that score the next iteration, which has so many items: those on trial, or the choice. No more than the
  /// first iteration's items.
  std::size_t of_iteration(std::size_t items);

  /// Ranks that score another request of so many student images: all, or where not all score an iteration, as many as
  /// have no less to do then.
  std::size_t of_images(std::uint64_t images) const;

  /// The iteration that of_iteration was asked for, of so many student images, is done. One of another size than the
  /// first one's, such as the last, is no measurement.
  void took(std::uint64_t images, double seconds);

  /// The choice, or the best so far.
  std::size_t chosen() const { return more_; }

  /// A line for the log, once the choice is made, if it is not all ranks.
  std::optional<std::string> news();

 private:
  void compare();

  std::size_t ranks_, more_, fewer_;            ///< all; on trial: the best so far or the choice, and half of it
  std::vector<double> with_more_, with_fewer_;  ///< seconds of iterations
  bool begun_ = false, warm_ = false, decided_ = false;
  std::uint64_t images_ = 0;  ///< of an iteration
  std::optional<std::string> news_;
};

}  // namespace triseg
