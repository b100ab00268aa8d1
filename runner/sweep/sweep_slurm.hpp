// A sweep as a job array of Slurm.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace triseg {

struct SlurmArray {
  std::filesystem::path sweep_file, folder;
  std::size_t runs = 0;
  std::size_t tasks = 0;               ///< that share the runs; 0: a task a run
  std::size_t concurrent = 0;          ///< tasks at once; 0: as many as the cluster starts
  std::size_t ranks = 1;               ///< of a task, all on one run
  std::vector<std::string> options;    ///< of sbatch, without dashes: "time=01:00:00"
  std::vector<std::string> arguments;  ///< of every `triseg sweep --index I`
};

/// Throws Error unless the text is an option of sbatch that a #SBATCH line can hold: a name, and perhaps = and a value
/// without blanks, quotes and what a shell reads.
void check_slurm_option(const std::string& option);

/// Most tasks that an array of this cluster may have; 1001, Slurm's default, where `scontrol` does not say.
std::size_t largest_array();

/// The batch script, of at most `largest` tasks, which share more runs than they are: task I of N does runs I, I + N,
/// I + 2N, ... It asks for as many ranks a task as the array has, unless its options say how many tasks or nodes there
/// are; what else a site may want stands in comments. It holds slurm/through_limits.sh as it was when triseg was
/// built. Paths and arguments arrive verbatim. Throws Error for a folder that Slurm writes no logs into, and for
/// options that contradict the number of ranks.
std::string batch_script(const SlurmArray& array, std::size_t largest);

/// Runs `sbatch FILE` and returns the number of the job. after: that of a job that must have ended before, or empty.
/// Throws Error with what sbatch says.
std::string submit(const std::filesystem::path& script, const std::string& after);

}  // namespace triseg
