// What the training of a network or a repair keeps between epochs.
#pragma once

#include "core/error.hpp"
#include "trainer/trainable_network.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace triseg {

/// One finished epoch.
struct EpochRecord {
  int epoch = 0;           ///< from 1, over both phases
  bool quantized = false;  ///< quantization-aware
  double loss = 0;         ///< mean over the epoch's augmented images [nats]: cross-entropy, of a repair KD
  double validation_accuracy =
      0;               ///< [percent]; of the fake-quantized network if `quantized`; not measured for a repair
  double seconds = 0;  ///< wall clock, validation included
};

/// A training run after its last finished epoch; a repair has no `folded`, `best` and float accuracies. Shuffling,
/// augmentation and dropout depend on (seed, epoch) only, so nothing else is needed to go on to the same result.
struct TrainingCheckpoint {
  std::string configuration;  ///< all that changes results, `name = value` a line: another configuration cannot resume
  bool folded = false;
  TrainingTensors tensors;
  double float_validation_accuracy = 0;  ///< [percent], when the float phase ended
  double float_test_accuracy = 0;        ///< [percent], likewise; for the record, nothing is chosen by it
  int best_epoch = 0;    ///< of the quantization-aware epochs, the one with the highest validation accuracy
  TrainingTensors best;  ///< its tensors, without momentum
  std::vector<EpochRecord> history;
};

/// Nothing if there is no such file. Throws Error naming the file if it is damaged or no training checkpoint.
std::optional<TrainingCheckpoint> load_checkpoint(const std::filesystem::path& path);

/// The same, and throws Error naming what differs if it is a checkpoint of another configuration (core/same_work.hpp).
std::optional<TrainingCheckpoint> load_checkpoint_of(const std::string& configuration,
                                                     const std::filesystem::path& path);

/// Replaces the file as a whole, as commit_file does. Throws Error naming the file; the old one then remains.
void save_checkpoint(const std::filesystem::path& path, const TrainingCheckpoint& checkpoint);

/// What `compute` returns. If it throws Error, the training has come to a bad end: it would come there again from its
/// checkpoint, which is removed.
template <class Compute>
auto or_forget(const std::filesystem::path& path, const Compute& compute) {
  try {
    return compute();
  } catch (const Error&) {
    std::filesystem::remove(path);
    throw;
  }
}

}  // namespace triseg
