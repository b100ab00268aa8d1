// Ranks that MPI joins: all that a launcher started, or a group of them that sends its own messages.
#pragma once

#include "runner/ranks/mpi_session.hpp"

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace triseg {

class Communicator {
 public:
  /// All ranks of the session, which lives on as long as one of its communicators. Every rank calls it at the same
  /// time. The first that ranks tell each other is their build: throws SharedError, on every rank, unless all run the
  /// same ("rank R runs another build of triseg (...)"). Throws Error, perhaps on this rank alone, if MPI fails.
  explicit Communicator(std::shared_ptr<MpiSession> session);
  ~Communicator();
  Communicator(Communicator&&) noexcept;
  Communicator& operator=(Communicator&&) noexcept;

  /// The ranks that give the same group, in the order of their ranks here. Every rank of this one calls it at the same
  /// time.
  Communicator split(int group) const;

  int rank() const { return rank_; }
  int size() const { return static_cast<int>(hosts_.size()); }
  /// The host that a rank runs on.
  const std::string& host(int rank) const { return hosts_[rank]; }
  /// This process among all of the session on its host, whatever group they are in: their GPUs are told apart by it.
  int local_rank() const { return local_rank_; }
  /// Threads for this process: its part of the cores of its host, among all of the session there (core/cores.hpp).
  int threads() const { return threads_; }

  /// Moves a message on and says whether it has arrived. Throws Error if MPI fails.
  using Poll = std::function<bool()>;
  /// Messages of at most 2^31 - 1 bytes (else Error); those between two ranks arrive in order. `message` stays until
  /// its Poll returns true; after an Error in between only abort may follow.
  Poll begin_send(int to, std::span<const std::byte> message) const;
  /// The message is as long as it was sent.
  Poll begin_receive(int from, std::vector<std::byte>& message) const;

  /// Ends all ranks of the session, of other groups, too.
  [[noreturn]] void abort(int exit_code) const;

 private:
  struct Handle;
  Communicator(std::shared_ptr<MpiSession> session, std::unique_ptr<Handle> handle);

  std::shared_ptr<MpiSession> session_;
  std::unique_ptr<Handle> handle_;
  int rank_ = 0, local_rank_ = 0, threads_ = 1;
  std::vector<std::string> hosts_;  ///< (ranks)
};

}  // namespace triseg
