// Damaged files: every reader says so or finds the same content; none crashes.
#include "core/atomic_file.hpp"
#include "core/error.hpp"
#include "tests/learner/files/examples.hpp"
#include "learner/files/model_file.hpp"
#include "learner/files/run_file.hpp"

#include <gtest/gtest.h>

#include <map>

namespace triseg {
namespace {

struct Outcome {
  int same = 0;
  int refused = 0;
};

/// Gives `read` the damaged bytes as a file. `read` returns how its content differs from the original's.
template <class Read>
void try_damaged(const std::filesystem::path& path, const std::vector<std::byte>& bytes, Read read,
                 const std::string& damage, Outcome& outcome) {
  write_bytes(path, bytes);
  try {
    EXPECT_EQ(read(path), "") << damage;
    ++outcome.same;
  } catch (const Error& error) {
    const std::string what = error.what();
    EXPECT_NE(what.find(path.filename().string()), std::string::npos) << what;
    EXPECT_EQ(what.find('\n'), std::string::npos) << what;
    ++outcome.refused;
  }
}

template <class Read>
void damage_everywhere(const std::filesystem::path& path, std::size_t flips, std::size_t truncations, Read read) {
  const std::vector<std::byte> whole = read_file(path);
  Outcome flipped, truncated;
  std::vector<std::byte> bytes = whole;
  // Every byte of the beginning, where the library's structures are dense, then spread over the file.
  for (std::size_t i = 0; i < flips; ++i) {
    const std::size_t at = i < flips / 2 ? i : i * 2654435761u % whole.size();
    if (at >= whole.size()) continue;
    bytes[at] = whole[at] ^ std::byte(i % 2 ? 0x01 : 0xff);
    try_damaged(path, bytes, read, "byte " + std::to_string(at), flipped);
    bytes[at] = whole[at];
  }
  for (std::size_t i = 0; i < truncations; ++i) {
    const std::size_t size = i * whole.size() / truncations;
    try_damaged(path, {whole.begin(), whole.begin() + size}, read, "truncated to " + std::to_string(size), truncated);
  }
  EXPECT_EQ(truncated.same, 0) << "a shorter file was taken for a whole one";
  EXPECT_GT(flipped.refused, flipped.same) << "most bytes matter";
  testing::Test::RecordProperty("flips_refused", flipped.refused);
  testing::Test::RecordProperty("flips_harmless", flipped.same);
  write_bytes(path, whole);
  EXPECT_EQ(read(path), "");
}

constexpr std::size_t flips = 1600, truncations = 100;

TEST(Corruption, ModelFile) {
  const TemporaryFolder folder;
  const QuantizedNetwork model = example_model();
  save_model(folder / "model.h5", model, {"triseg train", 1, 2, 3.5, 4.5, {}, {}, {}});
  damage_everywhere(folder / "model.h5", flips, truncations,
                    [&](const std::filesystem::path& path) { return difference(load_model(path), model); });
}

TEST(Corruption, RunFile) {
  const TemporaryFolder folder;
  const RunData run = example_run();
  write_run(folder / "run.h5", run);
  damage_everywhere(folder / "run.h5", flips, truncations,
                    [&](const std::filesystem::path& path) { return difference(read_run(path), run); });
}

TEST(Corruption, ValidatorNeverCrashes) {
  const TemporaryFolder folder;
  write_run(folder / "run.h5", example_run(false, 8));
  const std::vector<std::byte> whole = read_file(folder / "run.h5");
  for (std::size_t i = 0; i < flips / 4; ++i) {
    std::vector<std::byte> bytes = whole;
    bytes[i * 2654435761u % whole.size()] ^= std::byte{0x10};
    write_bytes(folder / "run.h5", bytes);
    error_of([&] { validate_run(folder / "run.h5"); });
  }
}

}  // namespace
}  // namespace triseg
