// One process at a time writes a file.
#pragma once

#include <filesystem>
#include <string_view>

namespace triseg {

/// Holds a file that is to be written, NAME, for this process, by a lock on .NAME.lock beside it, which names host and
/// process. The kernel gives the lock up with the process, however that ends: a lock file that is left over locks
/// nobody out.
class FileLock {
 public:
  /// Throws Error naming the process that holds the file and `options`, the ones to change. The folder must exist. On a
  /// file system without locks it warns and holds nothing.
  FileLock(const std::filesystem::path& file, std::string_view options);
  FileLock(const FileLock&) = delete;
  /// Removes the lock file.
  ~FileLock();

 private:
  /// True if the path still names the open file: its last holder may have removed it before this process locked it.
  bool names_the_open_file() const;

  std::filesystem::path path_;
  int fd_ = -1;
};

}  // namespace triseg
