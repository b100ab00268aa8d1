// All runs of a sweep as one table, for other programs.
#pragma once

#include "runner/sweep/sweep_folder.hpp"

#include <filesystem>
#include <string>

namespace triseg {

inline constexpr const char* sweep_format = "triseg-sweep";
inline constexpr int sweep_schema_version = 1;

struct Collected {
  std::filesystem::path hdf5, csv;
  std::string counts;  ///< runs by their state: "4 runs: 3 finished, 1 failed"
};

/// Writes DIR/sweep.h5 and DIR/sweep.csv (commit_file): the same columns, a row a run in the order of the sweep's
/// table; docs/sweep.md has them. A run that is not finished has NaN for what only finished ones have; one whose file
/// cannot be read counts as failed, with a warning. The HDF5 file links to the run files that are there, by paths
/// relative to it. Throws Error if the folder has no table, or a file cannot be written.
Collected collect(const SweepFolder& folder);

}  // namespace triseg
