#include "runner/ranks/launcher.hpp"

#include <cstdlib>

namespace triseg {
namespace {

int environment_number(const char* name, int otherwise) {
  const char* value = std::getenv(name);
  return value ? std::atoi(value) : otherwise;
}

}  // namespace

int launched_tasks() {
  if (const int n = environment_number("OMPI_COMM_WORLD_SIZE", 0)) return n;
  if (const int n = environment_number("PMI_SIZE", 0)) return n;
  // SLURM_PROCID alone is also set in a batch script; a step's tasks are counted by srun.
  if (std::getenv("SLURM_PROCID") && std::getenv("SLURM_STEP_ID")) return environment_number("SLURM_STEP_NUM_TASKS", 0);
  return 0;
}

bool launched_by_slurm() {
  return std::getenv("OMPI_COMM_WORLD_SIZE") == nullptr && std::getenv("SLURM_STEP_ID") != nullptr;
}

bool launcher_speaks_to_mpi() { return !launched_by_slurm() || std::getenv("PMIX_RANK") || std::getenv("PMI_RANK"); }

}  // namespace triseg
