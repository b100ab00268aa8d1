// Ranks joined by NCCL between their GPUs, started and watched over MPI.
#pragma once

#include "runner/ranks/mpi_transport.hpp"

namespace triseg {

bool nccl_in_this_build();

/// "2.28.3" of the headers and of the library in this process; empty without NCCL.
struct NcclVersions {
  std::string compiled, loaded;
};
NcclVersions nccl_versions();

/// Rank r uses GPU local_rank of its host; no two ranks may share one. Rank 0 waits at most `timeout` seconds for a rank; then
/// it tells the others, and all throw Error "NCCL: OPERATION: rank R did not answer within N s (PHASE)". Should rank 0 be the
/// one that hangs, the others find out after size * timeout + 5 s. Throws Error if NCCL does not start.
std::unique_ptr<Transport> make_nccl_transport(std::unique_ptr<MpiTransport> mpi, double timeout);

}  // namespace triseg
