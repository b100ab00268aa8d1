// How codes reach the ranks and records come back.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace triseg {

/// Collective calls between the ranks of one run; rank 0 is the learner. Every rank makes the same calls in the same
/// order. All calls block. Failures throw Error naming the operation.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual std::string_view name() const = 0;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// Ranks on this rank's host.
  virtual int local_size() const = 0;

  /// Rank 0's message reaches all: the others' argument is replaced by it.
  virtual void broadcast(std::vector<std::byte>& message) = 0;

  /// Rank r sends bytes[r] bytes; rank 0 gets all of them in rank order, the others an empty vector.
  virtual std::vector<std::byte> gather(std::span<const std::byte> mine, std::span<const std::size_t> bytes) = 0;

  /// Ends all ranks at once with this exit code; for a failure that the others cannot know of.
  [[noreturn]] virtual void abort(int exit_code) = 0;
};

/// What --transport takes: "auto", "local", "mpi". auto takes mpi if a launcher (mpirun, srun) started this process, else
/// local, which is one rank in one process and needs no MPI at run time.
/// Throws Error for an unknown name, and where a launcher started several processes that MPI does not join to one world.
std::unique_ptr<Transport> make_transport(std::string_view name);

/// This process's rank as its launcher's environment tells it, before any transport exists; 0 without a launcher.
int launcher_rank();

}  // namespace triseg
