// What the runs of a sweep have come to, from the files of its folder alone.
#pragma once

#include "runner/sweep/sweep_folder.hpp"

#include <string>

namespace triseg {

/// The state of a sweep for people: a line that counts the runs by their state, then one for each that is not finished:
/// its index, id and values, how far it is and who works on it, or why it failed. `done`, if not null, becomes true if
/// no run is waiting or running. Throws Error if the folder has no table, or a file of a run cannot be read.
std::string status_text(const SweepFolder& folder, bool* done = nullptr);

}  // namespace triseg
