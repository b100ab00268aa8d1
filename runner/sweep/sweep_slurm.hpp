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
  std::size_t concurrent = 0;          ///< tasks at once; 0: as many as the cluster starts
  std::vector<std::string> options;    ///< of sbatch, without dashes: "time=01:00:00"
  std::vector<std::string> arguments;  ///< of every `triseg sweep --index I`
};

/// Throws Error unless the text is an option of sbatch that a #SBATCH line can hold: a name, and a value without
/// blanks, quotes and what a shell reads.
void check_slurm_option(const std::string& option);

/// Most tasks that an array of this cluster may have; 1001, Slurm's default, where `scontrol` does not say.
std::size_t largest_array();

/// The batch script: a task for each run, or, of more runs than `largest`, for every largest-th. Paths and arguments
/// arrive verbatim, whatever they hold.
std::string batch_script(const SlurmArray& array, std::size_t largest);

/// Runs `sbatch FILE` and returns the number of the job. Throws Error with what sbatch says.
std::string submit(const std::filesystem::path& script);

}  // namespace triseg
