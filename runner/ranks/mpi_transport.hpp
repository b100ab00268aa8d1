// Ranks joined by MPI.
#pragma once

#include "runner/ranks/transport.hpp"
#include "runner/ranks/watch.hpp"

namespace triseg {

/// Several may be there at once, each on a communicator of its own. Messages go between rank 0 and each other rank, so
/// that one that is missing has a name; rank 0 waits `timeout` seconds for it (watch.hpp has the limits of the others).
class MpiTransport final : public Transport {
 public:
  MpiTransport(Communicator ranks, double timeout);

  std::string_view name() const override { return "mpi"; }
  int rank() const override { return ranks_->rank(); }
  int size() const override { return ranks_->size(); }
  int local_rank() const override { return ranks_->local_rank(); }
  int threads() const override { return ranks_->threads(); }
  void broadcast(std::vector<std::byte>& message) override;
  std::vector<std::vector<std::byte>> gather(std::span<const std::byte> mine) override;
  void set_phase(std::string_view phase) override { watch_.set_phase(phase); }
  [[noreturn]] void abort(int exit_code) override { ranks_->abort(exit_code); }

  std::shared_ptr<const Communicator> communicator() const { return ranks_; }

 private:
  std::shared_ptr<const Communicator> ranks_;
  Watch watch_;
};

}  // namespace triseg
