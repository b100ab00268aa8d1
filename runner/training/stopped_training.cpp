#include "runner/training/stopped_training.hpp"

#include "runner/ranks/signals.hpp"
#include "trainer/checkpoint.hpp"

#include <spdlog/spdlog.h>

namespace triseg {

int stopped_training(const std::string& checkpoint, int epochs) {
  if (const auto found = load_checkpoint(checkpoint))
    spdlog::info("Stopped by a signal: {} holds {} of {} epochs; the same command continues", checkpoint,
                 found->history.size(), epochs);
  else spdlog::info("Stopped by a signal before the end of epoch 1, which is lost; the same command starts again");
  return exit_resumable;
}

}  // namespace triseg
