#include "core/atomic_file.hpp"

#include "core/error.hpp"
#include "core/sha256.hpp"
#include "tests/learner/files/examples.hpp"
#include "learner/files/run_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace triseg {
namespace {

using testing::HasSubstr;

std::size_t files_in(const std::filesystem::path& folder) {
  return std::distance(std::filesystem::directory_iterator(folder), {});
}

TEST(AtomicFile, ReplacesAFile) {
  const TemporaryFolder folder;
  commit_file(folder / "a", "first");
  commit_file(folder / "a", "second, longer");
  EXPECT_EQ(read_text(folder / "a"), "second, longer");
  commit_file(folder / "a", "");
  EXPECT_EQ(read_text(folder / "a"), "");
  EXPECT_EQ(files_in(folder.path()), 1);
}

TEST(AtomicFile, WritesIntoTheCurrentFolder) {
  const TemporaryFolder folder;
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  commit_file("a", "text");
  std::filesystem::current_path(before);
  EXPECT_EQ(read_text(folder / "a"), "text");
}

mode_t mode_of(const std::filesystem::path& path) {
  struct stat status {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
  return status.st_mode & 07777;
}

/// A results folder on a small disk, its files linked to a large one.
TEST(AtomicFile, FollowsSymbolicLinks) {
  namespace fs = std::filesystem;
  const TemporaryFolder folder;
  fs::create_directories(folder / "scratch");
  fs::create_directories(folder / "results");
  commit_file(folder / "scratch/run", "old");
  fs::create_symlink("../scratch/run", folder / "results/direct");
  fs::create_symlink(folder / "results/direct", folder / "results/twice");
  fs::create_symlink("../scratch/new", folder / "results/dangling");
  for (const char* name : {"direct", "twice", "dangling"}) {
    commit_file(folder.path() / "results" / name, name);
    EXPECT_TRUE(fs::is_symlink(folder.path() / "results" / name)) << name;
    EXPECT_EQ(read_text(folder.path() / "results" / name), name);
  }
  EXPECT_EQ(read_text(folder / "scratch/run"), "twice");
  EXPECT_EQ(read_text(folder / "scratch/new"), "dangling");
  EXPECT_FALSE(fs::is_symlink(folder / "scratch/run"));
  EXPECT_EQ(files_in(folder / "results"), 3);
  EXPECT_EQ(files_in(folder / "scratch"), 2);
}

TEST(AtomicFile, LinksThatLeadNowhereAreErrors) {
  namespace fs = std::filesystem;
  const TemporaryFolder folder;
  fs::create_symlink("b", folder / "a");
  fs::create_symlink("a", folder / "b");
  fs::create_symlink("none/file", folder / "c");
  EXPECT_THAT(error_of([&] { commit_file(folder / "a", "text"); }), HasSubstr("a: its symbolic links form a loop"));
  EXPECT_THAT(error_of([&] { commit_file(folder / "c", "text"); }), HasSubstr("none/file: open failed: No such file"));
  EXPECT_EQ(files_in(folder.path()), 3);
}

TEST(AtomicFile, KeepsTheModeOfTheFileThatItReplaces) {
  const TemporaryFolder folder;
  const mode_t before = ::umask(0027);
  commit_file(folder / "a", "first");
  EXPECT_EQ(mode_of(folder / "a"), 0640);
  for (const mode_t mode : {0666, 0600, 0444, 0755}) {
    ASSERT_EQ(::chmod((folder / "a").c_str(), mode), 0);
    commit_file(folder / "a", "next");
    EXPECT_EQ(mode_of(folder / "a"), mode);
  }
  ::umask(before);
  std::filesystem::create_symlink("a", folder / "link");
  ASSERT_EQ(::chmod((folder / "a").c_str(), 0604), 0);
  commit_file(folder / "link", "by a link");
  EXPECT_EQ(mode_of(folder / "a"), 0604);
}

TEST(AtomicFile, KeepsOwnerAndGroup) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  const TemporaryFolder folder;
  commit_file(folder / "a", "first");
  ASSERT_EQ(::chown((folder / "a").c_str(), 1234, 4321), 0);
  commit_file(folder / "a", "next");
  struct stat status {};
  ASSERT_EQ(::stat((folder / "a").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, 1234);
  EXPECT_EQ(status.st_gid, 4321);
}

TEST(AtomicFile, ReplacesFilesOnly) {
  const TemporaryFolder folder;
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(error_of([&] { commit_file(folder / "pipe", "text"); }),
              HasSubstr("pipe: it is there and is not a file"));
  EXPECT_TRUE(std::filesystem::is_fifo(folder / "pipe"));
  EXPECT_EQ(files_in(folder.path()), 1);
}

/// A pipe that nobody writes to would hold who opens it for ever.
TEST(AtomicFile, ReadsFilesOnly) {
  const TemporaryFolder folder;
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(error_of([&] { read_file(folder / "pipe"); }),
              HasSubstr("pipe: it is a device or pipe, expected a file"));
  EXPECT_THAT(error_of([&] { read_file("/dev/zero"); }), HasSubstr("/dev/zero: it is a device or pipe"));
  EXPECT_THAT(error_of([&] { read_file(folder.path()); }), HasSubstr("it is a folder, expected a file"));
  EXPECT_THAT(error_of([&] { read_file(folder / "none"); }), HasSubstr("none: No such file"));
}

TEST(AtomicFile, FailureLeavesNothing) {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder / "a/b");
  EXPECT_THAT(error_of([&] { commit_file(folder / "a", "text"); }), HasSubstr("a: it is there and is not a file"));
  EXPECT_TRUE(std::filesystem::is_directory(folder / "a/b"));
  EXPECT_EQ(files_in(folder.path()), 1);
  EXPECT_THAT(error_of([&] { commit_file(folder / "none/x", "text"); }),
              HasSubstr("none/x: open failed: No such file"));
  EXPECT_THAT(error_of([&] { commit_file(folder.path() / "", "text"); }), HasSubstr("expected the name of a file"));
}

/// A limit on file sizes stands for a full disk: write() fails after a part.
TEST(AtomicFile, FullDiskLeavesTheOldFile) {
  const TemporaryFolder folder;
  const RunData run = example_run(false, 16);
  write_run(folder / "run.h5", run);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit limit{16 * 1024, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &limit);
  const std::string error = error_of([&] { write_run(folder / "run.h5", example_run(true, 5000)); });
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_THAT(error, HasSubstr("run.h5: write failed: File too large"));
  EXPECT_EQ(difference(read_run(folder / "run.h5"), run), "");
  EXPECT_EQ(files_in(folder.path()), 1);
}

TEST(AtomicFile, KilledWritersLeaveAWholeFile) {
  const TemporaryFolder folder;
  const RunData a = example_run(true, 600), b = example_run(false, 200);
  const auto begin = std::chrono::steady_clock::now();
  write_run(folder / "run.h5", b);
  write_run(folder / "run.h5", a);
  const auto round = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin);
  int of_a = 0, of_b = 0;
  constexpr int attempts = 40;
  for (int attempt = 0; attempt < attempts; ++attempt) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      try {
        for (;;) {
          write_run(folder / "run.h5", b);
          write_run(folder / "run.h5", a);
        }
      } catch (...) {
        _exit(1);
      }
    }
    // Reading while the child writes, then after its death at a moment that differs from attempt to attempt.
    for (int i = 0; i < 3; ++i) {
      const RunData seen = read_run(folder / "run.h5");
      EXPECT_EQ(difference(seen, seen.finished ? a : b), "");
    }
    std::this_thread::sleep_for(round * 4 * attempt / attempts);
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself";
    const RunData seen = read_run(folder / "run.h5");
    EXPECT_EQ(difference(seen, seen.finished ? a : b), "");
    ++(seen.finished ? of_a : of_b);
  }
  EXPECT_GT(of_b, 0) << "no child got as far as writing";
  EXPECT_GT(of_a, 0);
}

TEST(AtomicFile, UnwritableFoldersAreNamed) {
  const TemporaryFolder folder;
  ensure_writable_folder(folder / "new/deep");
  EXPECT_EQ(files_in(folder / "new/deep"), 0);
  ensure_writable_folder(folder / "new/deep");
  commit_file(folder / "file", "text");
  EXPECT_THAT(error_of([&] { ensure_writable_folder(folder / "file"); }), HasSubstr((folder / "file").string()));
  EXPECT_THAT(error_of([&] { ensure_writable_folder(folder / "file/below"); }),
              HasSubstr((folder / "file/below").string()));
  EXPECT_THAT(error_of([&] { ensure_writable_folder("/proc/triseg"); }),
              HasSubstr("cannot create folder /proc/triseg"));
  EXPECT_THAT(error_of([&] { ensure_writable_folder("/proc/self"); }), HasSubstr("cannot write to folder /proc/self"));
}

/// The examples of FIPS 180-4.
TEST(Sha256, KnownDigests) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Sha256 parts;
  for (const char* part : {"abcdbcdecdefdefgefghfghighij", "hijkijkljklmklmnlmnomnopnopq"}) parts.add(part);
  EXPECT_EQ(parts.hex(), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

}  // namespace
}  // namespace triseg
