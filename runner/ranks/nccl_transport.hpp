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

/// Rank r uses GPU local_rank of its host; no two ranks may share one. MPI carries the length of every message, and
/// with it the waiting for a rank that is late; NCCL carries the content. Rank 0 waits at most `timeout` seconds for a
/// rank (watch.hpp), then throws Error "MPI: gather: rank R on host H did not answer within N s (PHASE)", or "NCCL:
/// ...". Throws Error if NCCL does not start; `mpi` must outlive that.
std::unique_ptr<Transport> make_nccl_transport(std::shared_ptr<MpiTransport> mpi, double timeout);

}  // namespace triseg
