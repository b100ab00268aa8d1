// What mpirun or srun say, in the environment, of the processes they started.
#pragma once

namespace triseg {

/// Processes that the launcher started together with this one, 0 if no launcher did.
int launched_tasks();

/// True if srun started this process without an mpirun in between.
bool launched_by_slurm();

/// False if srun started this process without telling MPI of its other tasks (srun --mpi=none).
bool launcher_speaks_to_mpi();

}  // namespace triseg
