// Those who do the runs of a sweep, side by side.
#pragma once

#include "runner/inputs.hpp"
#include "runner/ranks/transport.hpp"
#include "runner/sweep/sweep_folder.hpp"
#include "runner/sweep/sweep_legs.hpp"
#include "runner/sweep/sweep_log.hpp"
#include "runner/sweep/sweep_place.hpp"
#include "runner/sweep/sweep_table.hpp"

#include <atomic>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

namespace triseg {

/// Hands out legs: each to one process of all that share the folder.
class LegQueue {
 public:
  /// claims: a folder for marks of what is taken; empty: this process alone takes legs. The legs outlive the queue.
  LegQueue(const std::vector<Leg>& legs, std::filesystem::path claims);

  /// The next leg that nobody has taken, or nothing. From any thread. Throws Error if the mark cannot be written.
  std::optional<Leg> take();

 private:
  /// A file is made by one process alone, on any file system.
  bool claim(std::size_t run) const;

  const std::vector<Leg>& legs_;
  std::atomic<std::size_t> next_ = 0;
  std::filesystem::path claims_;
};

/// How the runs of a process, or of all, came out.
struct SweepTally {
  std::atomic<int> finished = 0, failed = 0;
};

/// The engine of a run: the place's, unless it leaves the choice to the run.
EngineKind engine_of(const SweepPlace& place, const SweepRun& run);

/// The workers of a group of ranks, one or more, which keep what they have loaded. A worker is the group, or a thread
/// of a lone rank, and does one run after the other; all arguments but the last outlive it.
class SweepCrew {
 public:
  /// runs: those that there are to do, as many workers are enough. inputs: what this process has loaded already.
  SweepCrew(const SweepTable& table, const SweepPlace& place, const SweepFolder& folder,
            const std::shared_ptr<Transport>& group, std::size_t runs, SweepTally& tally, SweepLog& log,
            const InputsCache& inputs);
  ~SweepCrew();

  /// Until no leg is left, or a stop signal has come. A run that fails is recorded in its folder, and the next begins.
  /// Throws what ends a worker all the same, as an error on one rank of several does.
  void work(LegQueue& queue);

 private:
  class Worker;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace triseg
