// How much of their time ranks are at work, not waiting for one another.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace triseg {

/// What ranks have done until a moment.
struct RankTimes {
  std::chrono::steady_clock::time_point moment;
  std::vector<double> scoring;  ///< [s]: (ranks)
  double learning = 0;          ///< [s], by rank 0 while it did not score
};

/// Shares of the time between two moments, 0 .. 1.
struct RankUse {
  std::size_t ranks = 1;
  double scoring = 0, learning = 0;  ///< by rank 0
  double mean = 0, least = 0;        ///< of all ranks, scoring or learning

  /// For people: "ranks busy 94 % (least 88 %)"; of a lone rank "scoring 93 %, learning 5 %".
  std::string text() const;
};

RankUse rank_use(const RankTimes& from, const RankTimes& to);

}  // namespace triseg
