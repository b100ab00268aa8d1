// One process at a time writes a run.
#pragma once

#include <filesystem>

namespace triseg {

/// Holds the run of a run file NAME.h5 for this process, by a lock on .NAME.lock beside it, which names host and
/// process. The kernel gives the lock up with the process, however that ends: a lock file that is left over locks
/// nobody out.
class RunLock {
 public:
  /// Throws Error naming the process that holds the run. The folder must exist. On a file system without locks it warns
  /// and holds nothing.
  explicit RunLock(const std::filesystem::path& run_file);
  RunLock(const RunLock&) = delete;
  /// Removes the lock file.
  ~RunLock();

 private:
  /// True if the path still names the open file: its last holder may have removed it before this process locked it.
  bool names_the_open_file() const;

  std::filesystem::path path_;
  int fd_ = -1;
};

}  // namespace triseg
