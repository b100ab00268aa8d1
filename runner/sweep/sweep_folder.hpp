// What lies in the folder of a sweep: the table of its runs, and what each of them has come to.
#pragma once

#include "core/names.hpp"
#include "runner/run_start.hpp"
#include "runner/sweep/sweep_table.hpp"

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace triseg {

/// The files of a sweep:
///   DIR/sweep.json                      the table: what varies, and each run's id and values
///   DIR/runs/ID/options.toml            the run's options, as `triseg search --config` takes them
///   DIR/runs/ID/failed.txt              why it failed, one line; gone once it is tried again
///   DIR/runs/ID/rungs.json              what the rungs of [halving] have measured
///   DIR/runs/ID/stopped.txt             at which of them it was stopped, one line
///   DIR/runs/ID/tri_ppo_int_codes/run.* its run file, result and Pareto front
///   DIR/.claims/INDEX                   a run that a process of the sweep under way has taken
struct SweepFolder {
  std::filesystem::path path;

  std::filesystem::path table() const { return path / "sweep.json"; }
  std::filesystem::path claims() const { return path / ".claims"; }
  std::filesystem::path run(const std::string& id) const { return path / "runs" / id; }
  std::filesystem::path options(const std::string& id) const { return run(id) / "options.toml"; }
  std::filesystem::path failure(const std::string& id) const { return run(id) / "failed.txt"; }
  std::filesystem::path rungs(const std::string& id) const { return run(id) / "rungs.json"; }
  std::filesystem::path stopped(const std::string& id) const { return run(id) / "stopped.txt"; }
  RunFiles files(const std::string& id) const;
};

/// The name of the run's result file.
inline constexpr const char* sweep_result_file = "run.json";

/// Writes the table (commit_file). Throws Error if it cannot be written.
void write_table(const SweepFolder& folder, const SweepTable& table);

/// What it holds: the runs, their values, and [halving].
std::string table_text(const SweepTable& table);

/// True if the folder has a table, and it is another one.
bool has_other_table(const SweepFolder& folder, const SweepTable& table);

/// The table as it was written; the runs have no options. Throws Error naming the file if it is no table of a sweep.
SweepTable read_table(const SweepFolder& folder);

/// What a run has come to, as its files say.
enum class RunState {
  waiting,  ///< nothing is there yet, or a stopped run that no process works on
  running,  ///< a process holds it
  finished,
  failed,   ///< failed.txt says why
  stale,    ///< its process is gone, without having stopped in good order
  stopped,  ///< by [halving]; stopped.txt says where
};
inline constexpr Names<RunState, 6> run_states = {{{"finished", RunState::finished},
                                                   {"running", RunState::running},
                                                   {"stopped", RunState::stopped},
                                                   {"stale", RunState::stale},
                                                   {"failed", RunState::failed},
                                                   {"waiting", RunState::waiting}}};

struct RunStatus {
  RunState state = RunState::waiting;
  std::uint64_t episodes = 0, episodes_total = 0;  ///< 0 before the first commit
  std::string holder;                              ///< "process P on host H" of a running or stale one
  std::string reason;                              ///< of a failed or stopped one
};

/// Looks at the files of a run. Throws Error if a file that is there cannot be read.
RunStatus run_status(const SweepFolder& folder, const std::string& id);

/// True if the run's file says so; false also if it cannot be read.
bool is_finished(const SweepFolder& folder, const std::string& id);

/// Writes stopped.txt with this line, unless it has it already (commit_file).
void write_stopped(const SweepFolder& folder, const std::string& id, const std::string& line);

/// "4 runs: 3 finished, 1 failed".
std::string counts_of(std::span<const RunState> states);

}  // namespace triseg
