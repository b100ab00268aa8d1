#include "runner/training/training_files.hpp"

#include "core/atomic_file.hpp"
#include "core/error.hpp"
#include "runner/ranks/signals.hpp"
#include "trainer/checkpoint.hpp"

#include <spdlog/spdlog.h>

#include <filesystem>

namespace triseg {
namespace {

/// The path itself, once files can be made beside it.
const std::string& with_folder(const std::string& path, const char* option) {
  if (std::filesystem::is_directory(path)) fail("{}: {} is a folder", option, path);
  const auto folder = std::filesystem::path(path).parent_path();
  ensure_writable_folder(folder.empty() ? "." : folder);
  return path;
}

}  // namespace

TrainingFiles::TrainingFiles(const std::string& out, const std::string& checkpoint)
    : out_(with_folder(out, "--out"), "--out"), checkpoint_(with_folder(checkpoint, "--checkpoint"), "--checkpoint") {}

int stopped_training(const std::string& checkpoint, int epochs) {
  if (const auto found = load_checkpoint(checkpoint))
    spdlog::info("Stopped by a signal: {} holds {} of {} epochs; the same command continues", checkpoint,
                 found->history.size(), epochs);
  else spdlog::info("Stopped by a signal before the end of epoch 1, which is lost; the same command starts again");
  return exit_resumable;
}

}  // namespace triseg
