// Early stopping of a sweep's runs: which of them go on from a rung.
#pragma once

#include "runner/sweep/sweep_folder.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace triseg {

/// What a run was worth at a rung.
struct Measurement {
  std::uint64_t rung = 0;      ///< of Halving::rungs
  std::uint64_t episodes = 0;  ///< that it had scored: whole iterations; fewer than the rung if its search has ended
  std::uint64_t images = 0;    ///< validation images that its best student was scored on
  double kd = 0;               ///< of that student [nats]
};

/// What the decisions depend on.
struct RungProgress {
  std::vector<Measurement> measured;
  bool failed = false;
};

/// Where a run stands in its bracket.
struct Standing {
  enum class State {
    searches,  ///< on to the next rung, or to its end
    waits,     ///< until the last run of its bracket has reached its rung
    stopped,
  };
  State state = State::searches;
  std::size_t rungs = 0;                    ///< that are behind it
  std::size_t place = 0, of = 0, kept = 0;  ///< of one that was stopped: the place among those at the rung, from 1
};

/// Successive halving, a function of the measurements alone. A rung is decided when every run of the bracket that got
/// there is measured or has failed before: of n runs the best ceil(n / eta) go on, by KD, of equal ones by id; failed
/// ones are the worst and never go on. A search that has ended before a rung counts there with its last measurement.
std::vector<Standing> standings(const SweepTable& table, std::span<const RungProgress> progress);

/// The measurements of a run (rungs.json); none if there are none yet. Throws Error naming the file if it is damaged.
std::vector<Measurement> read_measurements(const SweepFolder& folder, const std::string& id);

/// Adds one to them (commit_file). Throws Error if it cannot be written, or if its KD is no finite number.
void add_measurement(const SweepFolder& folder, const std::string& id, const Measurement& measurement);

/// Decides what can be decided, from the files of all runs, and writes stopped.txt of those that are stopped; that of
/// one that goes on after all is removed when it does. Any process may do so at any time. Without [halving] all runs
/// search, and nothing is read.
std::vector<Standing> settle(const SweepFolder& folder, const SweepTable& table);

/// What a sweep costs from its beginning to its end, about: where runs of a bracket differ in cost the dearest are
/// counted as those that go on.
struct SweepCost {
  std::uint64_t student_images = 0;     ///< that episodes are scored on
  std::uint64_t measurements = 0;       ///< at rungs, on evaluation_images images each
  std::uint64_t most_final_images = 0;  ///< SweepRun's, of those that get there
  struct Rung {
    std::size_t going_on = 0;           ///< runs that go on from it
    std::uint64_t least = 0, most = 0;  ///< episodes that runs have scored there: whole iterations
  };
  std::vector<Rung> rungs;  ///< (Halving::rungs)
};
/// The cost of a table whose inputs have been looked at (look_at_inputs).
SweepCost cost_of(const SweepTable& table);

}  // namespace triseg
