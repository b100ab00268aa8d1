// Where and how fast the runs of a sweep are done.
#pragma once

#include "runner/options/search_options.hpp"

#include <cstddef>
#include <optional>
#include <string>

namespace triseg {

/// Where and how fast the runs are done; nothing of it changes their results.
struct SweepPlace {
  std::string out;                   ///< the sweep's folder
  std::optional<std::size_t> index;  ///< of the first run; nothing: all runs
  std::size_t index_step = 0;        ///< from it every so many; 0: it alone
  int ranks_per_run = 1;
  int runs_at_once = 0;  ///< of a group of one rank; 0: as many as its cores, or its GPU, can do
  EngineOptions engine;
  RankOptions ranks;
};

}  // namespace triseg
