#include "runner/file_lock.hpp"

#include "core/error.hpp"

#include <spdlog/spdlog.h>

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace triseg {
namespace {

/// "process P on host H" as the holder wrote it; it may be about to.
std::string holder(int fd) {
  char text[256];
  const ssize_t size = ::pread(fd, text, sizeof text, 0);
  return size > 0 ? std::string(text, size) : "another process";
}

}  // namespace

FileLock::FileLock(const std::filesystem::path& file, std::string_view options)
    : path_(std::filesystem::weakly_canonical(file)) {
  path_.replace_filename(fmt::format(".{}.lock", path_.filename().string()));
  do {
    if (fd_ >= 0) ::close(fd_);
    fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd_ < 0) fail("cannot open {}: {}", path_.string(), std::strerror(errno));
    if (::flock(fd_, LOCK_EX | LOCK_NB) == 0) continue;
    const int error = errno;
    const std::string other = holder(fd_);
    if (error == EWOULDBLOCK) {
      ::close(fd_);
      fail("{} is being written by {}; choose another {}", file.string(), other, options);
    }
    spdlog::warn("{} cannot be locked ({}): start nothing else with the same {}", file.string(), std::strerror(error),
                 options);
    return;
  } while (!names_the_open_file());
  char host[128] = {};
  ::gethostname(host, sizeof host - 1);
  const std::string text = fmt::format("process {} on host {}", ::getpid(), host);
  // Without it the lock holds all the same; only the message of who meets it says less.
  if (::ftruncate(fd_, 0) != 0 || ::pwrite(fd_, text.data(), text.size(), 0) < 0)
    spdlog::warn("cannot write {}: {}", path_.string(), std::strerror(errno));
}

FileLock::~FileLock() {
  // While it is locked: whoever waits for this file finds, having locked it, that the path names it no more.
  if (names_the_open_file()) ::unlink(path_.c_str());
  ::close(fd_);
}

bool FileLock::names_the_open_file() const {
  struct stat opened {
  }, named{};
  return ::fstat(fd_, &opened) == 0 && ::stat(path_.c_str(), &named) == 0 && opened.st_dev == named.st_dev &&
         opened.st_ino == named.st_ino;
}

}  // namespace triseg
