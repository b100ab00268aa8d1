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
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace triseg {
namespace {

using testing::HasSubstr;

std::string text_of(const std::filesystem::path& path) {
  const std::vector<std::byte> bytes = read_file(path);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::size_t files_in(const std::filesystem::path& folder) {
  return std::distance(std::filesystem::directory_iterator(folder), {});
}

TEST(AtomicFile, ReplacesAFile) {
  const TemporaryFolder folder;
  commit_file(folder / "a", "first");
  commit_file(folder / "a", "second, longer");
  EXPECT_EQ(text_of(folder / "a"), "second, longer");
  commit_file(folder / "a", "");
  EXPECT_EQ(text_of(folder / "a"), "");
  EXPECT_EQ(files_in(folder.path()), 1);
}

TEST(AtomicFile, WritesIntoTheCurrentFolder) {
  const TemporaryFolder folder;
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  commit_file("a", "text");
  std::filesystem::current_path(before);
  EXPECT_EQ(text_of(folder / "a"), "text");
}

TEST(AtomicFile, FailureToRenameLeavesNothing) {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder / "a/b");
  EXPECT_THAT(error_of([&] { commit_file(folder / "a", "text"); }), HasSubstr("a: rename failed"));
  EXPECT_TRUE(std::filesystem::is_directory(folder / "a/b"));
  EXPECT_EQ(files_in(folder.path()), 1);
  EXPECT_THAT(error_of([&] { commit_file(folder / "none/x", "text"); }), HasSubstr("none/x: open failed: No such file"));
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
  EXPECT_THAT(error_of([&] { ensure_writable_folder(folder / "file/below"); }), HasSubstr((folder / "file/below").string()));
  EXPECT_THAT(error_of([&] { ensure_writable_folder("/proc/triseg"); }), HasSubstr("cannot create folder /proc/triseg"));
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
