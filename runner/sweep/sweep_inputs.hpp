// What the runs of a sweep read, looked at before any of them is done.
#pragma once

#include "runner/inputs.hpp"
#include "runner/sweep/sweep_table.hpp"

#include <cstddef>
#include <span>

namespace triseg {

/// Loads the images, teacher and sites of these runs (SweepTable::runs), each combination once, and their starts and
/// tables of energies; fills in what follows: SweepRun::search as complete_options does, most_final_images, and the
/// digests. The last combination stays in the cache. Throws Error naming the run and the option that does not fit.
/// warn: say what is odd about images.
void look_at_inputs(SweepTable& table, std::span<const std::size_t> runs, InputsCache& cache, bool warn);

}  // namespace triseg
