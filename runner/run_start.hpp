// From options to the run that is to be done: a new one, or the one in the run file. Shared by search and doctor.
#pragma once

#include "learner/run_data.hpp"
#include "runner/inputs.hpp"
#include "runner/search_options.hpp"
#include "runner/ranks/transport.hpp"

#include <filesystem>

namespace triseg {

/// Where a run's files lie.
struct RunFiles {
  std::filesystem::path folder, result, run, pareto;
};
RunFiles run_files(const SearchOptions& options);

/// Loads the inputs on all ranks and sets `run` to a new run. Throws SharedError if a rank fails, or if ranks differ in options,
/// model or data.
Inputs load_agreed_inputs(Transport& transport, const SearchOptions& options, const CLI::App& app, RunData& run);

/// On rank 0: puts what the run file holds, if there is one, in the place of the new run, and says where it runs now. Throws Error
/// if the run file or the result file is another run's.
void take_place(RunData& run, const SearchOptions& options, const CLI::App& app, const Inputs& inputs, const Transport& transport);

}  // namespace triseg
