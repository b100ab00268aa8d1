// How codes reach the ranks and records come back.
#pragma once

#include "core/names.hpp"

#include <array>
#include <cstddef>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
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
  /// This process among all that the launcher started on its host.
  virtual int local_rank() const = 0;
  /// Threads for this rank: its part of the cores of its host.
  virtual int threads() const = 0;

  /// Rank 0's message, of any length, reaches all: the others' argument is replaced by it.
  virtual void broadcast(std::vector<std::byte>& message) = 0;

  /// Every rank sends a message of its own, of any length; rank 0 gets all of them in rank order, the others an empty
  /// vector.
  virtual std::vector<std::vector<std::byte>> gather(std::span<const std::byte> mine) = 0;

  /// What the ranks are at, "iteration 17", for the messages of failures.
  virtual void set_phase(std::string_view) {}

  /// Ends all ranks at once with this exit code; for a failure that the others cannot know of.
  [[noreturn]] virtual void abort(int exit_code) = 0;
};

/// What joins the ranks.
///   local  one rank in one process, also where a launcher started several: they know nothing of each other;
///          needs no MPI
///   mpi    the ranks that a launcher (mpirun, srun) started
///   nccl   the same, each with a GPU of its own
///   automatic  local without a launcher, else mpi: messages are some kilobytes, which MPI hands over in less time than
///          NCCL starts a kernel (docs/scaling.md)
enum class TransportKind { automatic, local, mpi, nccl };

/// What --transport takes.
inline constexpr Names<TransportKind, 4> transport_names = {{{"auto", TransportKind::automatic},
                                                             {"local", TransportKind::local},
                                                             {"mpi", TransportKind::mpi},
                                                             {"nccl", TransportKind::nccl}}};

/// Joins the ranks of a run. A rank that does not answer within `timeout` seconds ends all with one line that names it
/// (watch.hpp).
///
/// `problem`: what this process has found wrong before, or null. Where one process is to run, it is thrown here; where
/// several are, they join first, so that all end with one line: it becomes a SharedError on those that have none of
/// their own. The same holds for a kind that is impossible here, and for ranks of different builds. Throws Error where
/// a launcher started several processes that MPI does not join to one world.
std::shared_ptr<Transport> make_transport(TransportKind kind, double timeout, std::exception_ptr problem);

/// The ranks that a launcher started, in groups that work for themselves.
struct RankGroups {
  std::shared_ptr<Transport> world;  ///< all of them; waits for others without a limit
  std::shared_ptr<Transport> group;  ///< this rank's
  int index = 0, count = 1;          ///< which group it is, of how many
};

/// The same in groups of `ranks_per_group` ranks that follow each other, of which the last may be smaller. A group of
/// one is local, on the GPU and with the threads of its rank. Throws as make_transport does.
RankGroups make_rank_groups(TransportKind kind, double timeout, int ranks_per_group, std::exception_ptr problem);

/// One rank that needs nobody. local_rank: which GPU it takes. threads: 0 for all cores that this process may use.
std::unique_ptr<Transport> make_local_transport(int local_rank = 0, int threads = 0);

}  // namespace triseg
