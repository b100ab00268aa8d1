// A run file with the teacher and the images that it was made with: what verify, replay and pick score again.
#pragma once

#include "data/dataset.hpp"
#include "learner/run_data.hpp"
#include "network/problem.hpp"
#include "runner/options/search_options.hpp"
#include "worker/scorer.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace triseg {

/// A run file, and what the command line says in place of it.
struct StoredRunOptions {
  std::string command;  ///< the subcommand, for messages
  std::string run;
  std::string data, teacher;  ///< empty: what the run file says
  EngineOptions engine;
};

void declare_stored_run(CLI::App& app, StoredRunOptions& options);

struct StoredRun {
  RunData run;
  DataSet data;
  Problem problem;
  Repair repair;                 ///< of the students of the search; empty without one
  std::uint32_t batch_size = 0;  ///< images of an iteration
  std::unique_ptr<Scorer> scorer;
};

/// Reads the run alone. Throws Error, or CLI::ParseError if no run file is named.
RunData read_stored_run(const StoredRunOptions& options);

/// Reads the run, and loads the teacher and the images of the same digests. Throws Error, or CLI::ParseError if no run
/// file is named; also if the teacher or the images are others than the run's.
std::unique_ptr<StoredRun> load_stored_run(const StoredRunOptions& options);

/// The scores, one a student, of codes (students)(sites) on the images of an iteration, under the repair of the search.
std::vector<Score> score_iteration(const StoredRun& stored, std::uint64_t iteration,
                                   std::vector<std::vector<Codes>> codes);

/// The same on the first validation images, evaluation_images of them.
std::vector<Score> score_on_validation(const StoredRun& stored, std::vector<std::vector<Codes>> codes);

/// An option of the run, as text; empty if its configuration lacks it.
std::string option_of(const RunData& run, std::string_view name);

/// Episodes first .. first + count - 1 of an iteration.
struct IterationRows {
  std::uint64_t iteration = 0;
  std::size_t first = 0, count = 0;
};
std::vector<IterationRows> iterations_of(const RunData& run);

/// The histograms that calibration made: (sites).
std::vector<Histogram> calibration_histograms(const StoredRun& stored);

/// The start's codes, which every iteration's rewards are compared with: (sites).
std::vector<Codes> reference_codes(const RunData& run);

}  // namespace triseg
