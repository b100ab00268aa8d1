#include "runner/file_lock.hpp"

#include "core/error.hpp"

#include <spdlog/spdlog.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/file.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace triseg {
namespace {

/// "process P on host H" as the holder wrote it; it may be about to.
std::string holder(int fd) {
  char text[256];
  const ssize_t size = ::pread(fd, text, sizeof text, 0);
  return size > 0 ? std::string(text, size) : "another process";
}

constexpr std::string_view holder_begin = "process ";

/// Throws Error unless the open file is one that a lock may write into: its own, or an empty one. What else has its
/// name stays as it is.
void check_own(int fd, const std::filesystem::path& path) {
  struct stat opened {};
  if (::fstat(fd, &opened) == 0 && S_ISREG(opened.st_mode) &&
      (opened.st_size == 0 || holder(fd).starts_with(holder_begin)))
    return;
  ::close(fd);
  fail("{} is there and is no lock of triseg: move it away", path.string());
}

std::filesystem::path lock_path(const std::filesystem::path& file) {
  std::filesystem::path path = std::filesystem::weakly_canonical(file);
  return path.replace_filename(fmt::format(".{}.lock", path.filename().string()));
}

}  // namespace

FileLock::FileLock(const std::filesystem::path& file, std::string_view options, bool shared, std::string busy)
    : path_(lock_path(file)), shared_(shared) {
  constexpr int attempts = 5;  // is_locked, which only asks, holds the file for a moment
  for (int attempt = 1;; ++attempt) {
    fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (fd_ < 0 && errno == ELOOP) fail("{} is a link and no lock of triseg: move it away", path_.string());
    if (fd_ < 0) fail("cannot open {}: {}", path_.string(), std::strerror(errno));
    check_own(fd_, path_);
    if (::flock(fd_, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0) {
      if (names_the_open_file()) break;
    } else if (errno != EWOULDBLOCK) {
      spdlog::warn("{} cannot be locked ({}): start nothing else with the same {}", file.string(), std::strerror(errno),
                   options);
      return;
    } else if (attempt >= attempts) {
      const std::string other = holder(fd_);
      ::close(fd_);
      if (busy.empty()) busy = fmt::format("{} is being written", file.string());
      fail("{} by {}; choose another {}", busy, other, options);
    } else {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    ::close(fd_);
  }
  char host[128] = {};
  ::gethostname(host, sizeof host - 1);
  const std::string text = fmt::format("{}{} on host {}", holder_begin, ::getpid(), host);
  // Without it the lock holds all the same; only the message of who meets it says less.
  if (::ftruncate(fd_, 0) != 0 || ::pwrite(fd_, text.data(), text.size(), 0) < 0)
    spdlog::warn("cannot write {}: {}", path_.string(), std::strerror(errno));
}

FileLock::~FileLock() {
  // While it is locked: whoever waits for this file finds, having locked it, that the path names it no more.
  if (!shared_ && names_the_open_file()) ::unlink(path_.c_str());
  ::close(fd_);
}

bool FileLock::names_the_open_file() const {
  struct stat opened {
  }, named{};
  return ::fstat(fd_, &opened) == 0 && ::stat(path_.c_str(), &named) == 0 && opened.st_dev == named.st_dev &&
         opened.st_ino == named.st_ino;
}

std::string lock_holder(const std::filesystem::path& file) {
  const int fd = ::open(lock_path(file).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return "";
  const std::string found = holder(fd);
  ::close(fd);
  return found;
}

bool is_locked(const std::filesystem::path& file) {
  const int fd = ::open(lock_path(file).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return false;
  const bool locked = ::flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(fd);
  return locked;
}

}  // namespace triseg
