// Doing the runs of a sweep.
#pragma once

#include "runner/options/search_options.hpp"
#include "runner/sweep/sweep_folder.hpp"
#include "runner/sweep/sweep_table.hpp"

#include <cstddef>
#include <exception>
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

/// Does all runs of the table that are not finished yet, on all ranks that a launcher started: each group of ranks
/// takes the next run that no other has taken. Runs that were stopped or killed continue; runs that failed are tried
/// again. What runs read is looked at before the first (look_at_inputs), but for those of `index`. A run that fails all
/// the same is recorded, and the others go on. With [halving] all runs do the way to a rung before any
/// goes on from it. Every rank calls it with the same arguments; `problem`: what this one has found wrong before, or
/// null, as make_transport takes it. Returns 0 if all runs are finished or stopped, or if those of `index` wait for
/// others of their bracket; exit_resumable after a stop signal; else 1. Throws Error if the folder cannot be used,
/// another sweep is at work in it, or an index counts in another table than the folder's.
int run_sweep(SweepTable table, const SweepPlace& place, std::exception_ptr problem);

}  // namespace triseg
