// Doing the runs of a sweep.
#pragma once

#include "runner/sweep/sweep_place.hpp"
#include "runner/sweep/sweep_table.hpp"

#include <exception>

namespace triseg {

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
