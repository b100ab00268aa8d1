// Ranks joined by MPI.
#pragma once

#include "runner/ranks/transport.hpp"

#include <optional>

namespace triseg {

class MpiTransport final : public Transport {
 public:
  MpiTransport();
  ~MpiTransport() override;

  std::string_view name() const override { return "mpi"; }
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  int local_rank() const override { return local_rank_; }
  int local_size() const override { return local_size_; }
  void broadcast(std::vector<std::byte>& message) override;
  std::vector<std::byte> gather(std::span<const std::byte> mine, std::span<const std::size_t> bytes) override;
  [[noreturn]] void abort(int exit_code) override;

  /// Tells all other ranks something beside the collective calls: bad news. Waits at most a second for them to take it.
  void announce(const std::string& text);
  /// What another rank has announced to this one, if anything.
  std::optional<std::string> announcement();

 private:
  std::string announced_;
  int rank_ = 0, size_ = 1, local_rank_ = 0, local_size_ = 1;
};

/// "Open MPI v4.1.4, ...": the library's own words, first line.
std::string mpi_version();

}  // namespace triseg
