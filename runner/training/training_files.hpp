// The files that a training writes: its result, and the checkpoint that it goes on from.
#pragma once

#include "runner/file_lock.hpp"

#include <string>

namespace triseg {

/// Result and checkpoint of a training that starts, held for this process.
class TrainingFiles {
 public:
  /// Makes their folders. Throws Error if a file cannot be made there, or if another process writes one of the two.
  TrainingFiles(const std::string& out, const std::string& checkpoint);

 private:
  FileLock out_, checkpoint_;
};

/// Says what is left of a training that a signal stopped; returns the exit code. epochs: of the whole training.
int stopped_training(const std::string& checkpoint, int epochs);

}  // namespace triseg
