// One process at a time writes a file.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace triseg {

/// Holds a file that is to be written, NAME, for this process, by a lock on .NAME.lock beside it, which names host and
/// process. The kernel gives the lock up with the process, however that ends: a lock file that is left over locks
/// nobody out.
class FileLock {
 public:
  /// Throws Error naming the process that holds the file and `options`, the ones to change. The folder must exist. On a
  /// file system without locks it warns and holds nothing.
  /// shared: with others that ask for the same, but with none that does not. busy: what the message says when another
  /// process holds it, "FILE is being written" unless given.
  FileLock(const std::filesystem::path& file, std::string_view options, bool shared = false, std::string busy = "");
  FileLock(const FileLock&) = delete;
  /// Removes the lock file, unless others may share it.
  ~FileLock();

 private:
  /// True if the path still names the open file: its last holder may have removed it before this process locked it.
  bool names_the_open_file() const;

  std::filesystem::path path_;
  int fd_ = -1;
  bool shared_;
};

/// Who holds the file, or held it when it was killed: "process P on host H". Empty if nobody does, or no lock file is
/// left.
std::string lock_holder(const std::filesystem::path& file);

/// True if a process holds the file now.
bool is_locked(const std::filesystem::path& file);

}  // namespace triseg
