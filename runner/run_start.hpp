// From options to the run that is to be done: a new one, or the one in the run file. Shared by search and doctor.
#pragma once

#include "learner/run_data.hpp"
#include "runner/inputs.hpp"
#include "runner/ranks/transport.hpp"
#include "runner/options/search_options.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace triseg {

/// Where a run's files lie.
struct RunFiles {
  std::filesystem::path folder, result, run, pareto;
};
RunFiles run_files(const OutputOptions& options);

/// Gives the texts of completed options (runner/cli/declare_options.hpp).
using DescribeOptions = std::function<OptionTexts(const SearchOptions&)>;

/// Loads the inputs on all ranks, or takes them from the cache, completes the options, with --finish by the run file's
/// episodes, and sets `run` to a new run.
/// Throws SharedError if a rank fails, or if ranks differ in options, model or data.
Inputs load_agreed_inputs(Transport& transport, SearchOptions& options, const DescribeOptions& describe, RunData& run,
                          InputsCache& cache);

/// A run of fewer episodes that goes on to more.
struct ShorterRun {
  std::string config_hash;
  std::uint64_t episodes = 0;  ///< that it ended with, or was to
  std::string result, pareto;  ///< the texts of its files; empty unless it is finished
};

/// On rank 0: puts what the run file holds, if there is one, in the place of the new run, and says where it runs now.
/// A run of a version without --final-scoring goes on as it began, with `all`. A run of fewer episodes, finished or
/// not, goes on to those of the options, as if they had been given from the start, and is returned; one of more
/// episodes that it has not come to ends with those of the options in the same way. Throws Error if the run file or the
/// result file is another run's, or if the longer run would not have come to where the shorter one ended.
std::optional<ShorterRun> take_place(RunData& run, SearchOptions& options, const Inputs& inputs,
                                     const Transport& transport);

/// Leaves the place of the result and of the front to the longer run: those of the shorter one become
/// NAME.N-episodes.json and .pareto.csv, and are written there if they were lost.
void set_aside(const ShorterRun& shorter, const RunFiles& files);

}  // namespace triseg
