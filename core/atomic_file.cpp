#include "core/atomic_file.hpp"

#include "core/error.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace triseg {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

/// Links of a chain that are followed, as many as Linux follows.
constexpr int most_links = 40;

/// The end of a chain of symbolic links, there or not; `path` itself if it is none.
std::filesystem::path followed(const std::filesystem::path& path) {
  std::filesystem::path target = path;
  std::error_code error;
  for (int links = 0; std::filesystem::is_symlink(std::filesystem::symlink_status(target, error)); ++links) {
    if (links == most_links)
      fail("cannot write {}: its symbolic links form a loop, or more than {} follow each other", path.string(),
           most_links);
    const std::filesystem::path next = std::filesystem::read_symlink(target, error);
    if (error)
      fail("cannot write {}: the symbolic link {} cannot be read: {}", path.string(), target.string(), error.message());
    target = target.parent_path() / next;
  }
  return target;
}

/// A new file beside `target`, removed again unless it was renamed. It has owner, group and mode of the file that it
/// replaces.
class Temporary {
 public:
  explicit Temporary(const std::filesystem::path& target) : target_(target), fd_(-1) {
    struct stat old {};
    if (::stat(target.c_str(), &old) == 0) old_ = old;
    if (old_ && !S_ISREG(old_->st_mode)) fail("cannot write {}: it is there and is not a file", target.string());
    const mode_t mode = old_ ? old_->st_mode & 0777 : 0666;
    for (int n = 0; fd_ < 0; ++n) {
      path_ = target.parent_path() / fmt::format(".{}.{}-{}.tmp", target.filename().string(), ::getpid(), n);
      fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
      if (fd_ < 0 && errno != EEXIST) throw_errno("open");
    }
  }
  Temporary(const Temporary&) = delete;
  ~Temporary() {
    if (fd_ >= 0) ::close(fd_);
    if (!renamed_) ::unlink(path_.c_str());
  }

  void write(std::span<const std::byte> bytes) {
    if (old_) keep(*old_);
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
      if (n < 0 && errno != EINTR) throw_errno("write");
      if (n > 0) bytes = bytes.subspan(n);
    }
    while (::fsync(fd_) != 0)
      if (errno != EINTR) throw_errno("fsync");
    // After EINTR the file is closed all the same (close(2)).
    if (::close(std::exchange(fd_, -1)) != 0 && errno != EINTR) throw_errno("close");
  }

  void rename() {
    if (::rename(path_.c_str(), target_.c_str()) != 0) throw_errno("rename");
    renamed_ = true;
  }

 private:
  [[noreturn]] void throw_errno(const char* call) const {
    fail("cannot write {}: {} failed: {}", target_.string(), call, std::strerror(errno));
  }

  /// Owner and group as far as this user may set them; the mode last, as a new owner clears bits of it.
  void keep(const struct stat& old) {
    const bool kept = ::fchown(fd_, old.st_uid, old.st_gid) == 0 || ::fchown(fd_, -1, old.st_gid) == 0;
    // Without the old group its bits would give another group rights.
    if (::fchmod(fd_, old.st_mode & (kept ? 07777 : 07707)) != 0) throw_errno("fchmod");
  }

  std::filesystem::path target_, path_;
  std::optional<struct stat> old_;  ///< of the file that it replaces
  int fd_;
  bool renamed_ = false;
};

// Makes a rename to `path` last through a power cut.
void sync_folder_of(const std::filesystem::path& path) {
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  const auto throw_errno = [&](const char* call) {
    fail("cannot write {}: {} of its folder failed: {}", path.string(), call, std::strerror(errno));
  };
  const Descriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) {
    if (errno == EACCES) return;  // a folder that may be written, but not read: the system syncs it when it does
    throw_errno("open");
  }
  // Some network file systems do not know fsync of a folder; they say so in one of these ways and need none.
  while (::fsync(fd.get()) != 0) {
    if (errno == EINVAL || errno == ENOTSUP || errno == ENOSYS) return;
    if (errno != EINTR) throw_errno("fsync");
  }
}

}  // namespace

void commit_file(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  if (!path.has_filename()) fail("cannot write '{}': expected the name of a file", path.string());
  const std::filesystem::path target = followed(path);
  Temporary temporary(target);
  temporary.write(bytes);
  temporary.rename();
  sync_folder_of(target);
}

void commit_file(const std::filesystem::path& path, std::string_view text) {
  commit_file(path, std::as_bytes(std::span(text.data(), text.size())));
}

void ensure_writable_folder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail("cannot create folder {}: {}", folder.string(), error.message());
  if (!std::filesystem::is_directory(folder, error)) fail("cannot write to {}: it is not a folder", folder.string());
  try {
    Temporary(folder / "write-test").write(std::as_bytes(std::span("triseg")));
  } catch (const Error& error) {
    fail("cannot write to folder {}: {}", folder.string(), error.what());
  }
}

int open_file(const std::filesystem::path& path) {
  // A FIFO that nobody writes to would hold a blocking open for ever.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat status {};
  if (fd < 0 || ::fstat(fd, &status) != 0) {
    const int error = errno;
    if (fd >= 0) ::close(fd);
    fail("cannot read {}: {}", path.string(), std::strerror(error));
  }
  if (S_ISREG(status.st_mode)) return fd;
  ::close(fd);
  fail("cannot read {}: it is a {}, expected a file", path.string(),
       S_ISDIR(status.st_mode) ? "folder" : "device or pipe");
}

std::vector<std::byte> read_file(const std::filesystem::path& path) {
  const auto throw_errno = [&] { fail("cannot read {}: {}", path.string(), std::strerror(errno)); };
  const Descriptor fd(open_file(path));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) throw_errno();
  std::vector<std::byte> bytes(status.st_size);
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t n = ::read(fd.get(), bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno != EINTR) throw_errno();
    if (n == 0) bytes.resize(done);
    if (n > 0) done += n;
  }
  return bytes;
}

std::string read_text(const std::filesystem::path& path) {
  const std::vector<std::byte> bytes = read_file(path);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace triseg
