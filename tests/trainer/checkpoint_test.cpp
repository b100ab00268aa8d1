#include "trainer/checkpoint.hpp"

#include "tests/error_of.hpp"
#include "tests/trainer/small_shapes.hpp"

#include <gmock/gmock.h>

#include <csignal>
#include <fstream>
#include <sys/resource.h>

namespace triseg {
namespace {

using testing::HasSubstr;

TrainingCheckpoint example() {
  TrainingCheckpoint c;
  c.configuration = "model = lenet5\nseed = 3\n";
  c.folded = true;
  c.tensors = {{"conv1.weight", {1.5f, -2.25f, 0.0f}},
               {"conv1.weight.momentum", {0.1f, 0.2f, 0.3f}},
               {"conv1.range", {0.0f, 7.5f}}};
  c.best = {{"conv1.weight", {9.0f}}};
  c.float_validation_accuracy = 91.25;
  c.float_test_accuracy = 90.5;
  c.best_epoch = 2;
  c.history = {{1, false, 0.5, 80.5, 3.25}, {2, true, 0.25, 90.125, 4.5}};
  return c;
}

TEST(Checkpoint, RestoresEveryField) {
  const auto path = scratch_folder("checkpoint") / "a.checkpoint";
  EXPECT_FALSE(load_checkpoint(path).has_value());
  save_checkpoint(path, {});
  save_checkpoint(path, example());
  const TrainingCheckpoint expected = example(), found = load_checkpoint(path).value();
  EXPECT_EQ(found.configuration, expected.configuration);
  EXPECT_EQ(found.folded, expected.folded);
  EXPECT_EQ(found.tensors, expected.tensors);
  EXPECT_EQ(found.best, expected.best);
  EXPECT_EQ(found.float_validation_accuracy, expected.float_validation_accuracy);
  EXPECT_EQ(found.float_test_accuracy, expected.float_test_accuracy);
  EXPECT_EQ(found.best_epoch, expected.best_epoch);
  ASSERT_EQ(found.history.size(), 2u);
  EXPECT_EQ(found.history[1].epoch, 2);
  EXPECT_TRUE(found.history[1].quantized);
  EXPECT_EQ(found.history[1].loss, 0.25);
  EXPECT_EQ(found.history[1].validation_accuracy, 90.125);
  EXPECT_EQ(found.history[1].seconds, 4.5);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(path.parent_path()), {}), 1);
  std::filesystem::remove_all(path.parent_path());
}

TEST(Checkpoint, TruncatedFilesAreOneLineErrors) {
  const auto path = scratch_folder("truncated") / "a.checkpoint";
  save_checkpoint(path, example());
  const auto size = std::filesystem::file_size(path);
  for (const double share : {0.0, 0.01, 0.3, 0.7, 0.99}) {
    save_checkpoint(path, example());
    std::filesystem::resize_file(path, std::uintmax_t(share * double(size)));
    EXPECT_THAT(error_of([&] { load_checkpoint(path); }), HasSubstr(path.string())) << share;
  }
  std::ofstream(path) << "not a checkpoint";
  EXPECT_THAT(error_of([&] { load_checkpoint(path); }), HasSubstr("no checkpoint of a training"));
  std::filesystem::remove_all(path.parent_path());
}

TEST(Checkpoint, EveryChangedByteIsFound) {
  const auto path = scratch_folder("changed") / "a.checkpoint";
  save_checkpoint(path, example());
  const auto size = std::filesystem::file_size(path);
  for (std::uintmax_t at = 0; at < size; at += 97) {
    save_checkpoint(path, example());
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(std::streamoff(at));
    const int byte = file.get();
    file.seekp(std::streamoff(at));
    file.put(char(byte ^ 4));
    file.close();
    EXPECT_THAT(error_of([&] { load_checkpoint(path); }), HasSubstr(path.string())) << at;
  }
  std::filesystem::remove_all(path.parent_path());
}

/// A limit on file sizes stands for a full disk: write() fails after a part.
TEST(Checkpoint, FullDiskIsAnErrorAndLeavesTheOldFile) {
  const auto path = scratch_folder("full") / "a.checkpoint";
  save_checkpoint(path, example());
  TrainingCheckpoint large = example();
  large.tensors["conv1.weight"].resize(100'000);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit limit{64 * 1024, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &limit);
  const std::string error = error_of([&] { save_checkpoint(path, large); });
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_THAT(error, HasSubstr("cannot write " + path.string() + ": write failed: File too large"));
  EXPECT_EQ(load_checkpoint(path).value().tensors, example().tensors);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(path.parent_path()), {}), 1);
  std::filesystem::remove_all(path.parent_path());
}

TEST(Checkpoint, UnwritablePlaceIsAnError) {
  // A file in the place of its folder: not even root can write there.
  const auto file = scratch_folder("unwritable") / "file", inside = file / "a.checkpoint";
  std::ofstream(file) << "text";
  EXPECT_THAT(error_of([&] { save_checkpoint(inside, {}); }), HasSubstr(inside.string()));
  std::filesystem::remove_all(file.parent_path());
}

}  // namespace
}  // namespace triseg
