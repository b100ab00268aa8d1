// Starting and ending MPI.
#pragma once

#include <string>

namespace triseg {

/// MPI in this process: at most one, once. While it lives, this thread alone may use MPI. A process that joins a world
/// of several as another rank than 0 leaves errors that all ranks share to rank 0 from then on (report_error.hpp).
class MpiSession {
 public:
  /// Waits for all processes that the launcher started. Throws Error if MPI does not start.
  MpiSession();
  /// Waits for the others, too.
  ~MpiSession();
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;

  /// This process among all that the launcher started, and their number.
  int rank() const { return rank_; }
  int size() const { return size_; }
  /// Ends them all at once with this exit code.
  [[noreturn]] void abort(int exit_code) const;

 private:
  int rank_ = 0, size_ = 1;
};

/// "Open MPI v4.1.4, ...": the library's own words, first line.
std::string mpi_version();

}  // namespace triseg
