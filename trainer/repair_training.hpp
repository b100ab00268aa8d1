// Trains the repair of a found student: its requantization follows the gradient of KD. Weights and codes stay, labels
// have no part.
#pragma once

#include "core/codes.hpp"
#include "data/dataset.hpp"
#include "network/problem.hpp"
#include "trainer/batches.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>

namespace triseg {

struct RepairOptions {
  // These change results.
  bool shared_slope = false;  ///< multipliers of a layer keep their ratios; each channel has its bias in any case
  int epochs = 12;
  int batch_size = 128;
  double learning_rate = 0.01;      ///< of multipliers' logarithms at the start: half a cosine to 0
  double bias_learning_rate = 0.2;  ///< of biases, in codes of the layer's output, likewise
  double smoothing = 0.15;          ///< deviation of a jump's gradient, in heights of the jump (RepairNetwork)
  double temperature = 2;           ///< of the distillation
  Augmentation augmentation{.shift = 1, .flip = true};
  std::uint64_t seed = 1;
  // These change speed (and the last bits of results: sums are ordered differently).
  std::string device = "auto";  ///< auto, cpu or cuda
  int threads = 0;              ///< 0: one per core
};

/// The options that change results, `name = value` a line: two runs with equal text, of the same student, are the same
/// training.
std::string configuration(const RepairOptions& options);

/// Throws Error naming the first option, as the command line spells it, that is out of range or does not fit network or
/// data, and for a device that is not there.
void check(const RepairOptions& options, const Network& network, const DataSet& data);

struct RepairListener {
  /// After every step: images and mean KD of the epoch so far.
  std::function<void(int epoch, std::size_t images, double kd)> progress;
  std::function<void(int epoch, double kd, double seconds)> epoch;  ///< after every epoch, its checkpoint written
  std::function<void(int done)> resumed;                            ///< once, if a checkpoint has been found
  std::function<bool()> stop;  ///< asked after every step: true ends the training there
};

/// The student that the training is about.
struct RepairedStudent {
  const Problem& problem;
  std::span<const Codes> codes;  ///< (sites)
  const Repair& start;           ///< empty: the model's own requantization
};

/// Trains on the search split. `description` tells what is trained with which options (core/same_work.hpp): a
/// checkpoint of another description is refused. Resumes from `checkpoint_path` if it exists, and writes it after every
/// epoch. Nothing if the listener stopped it: the checkpoint is of the last epoch that was finished. Equal options,
/// build and thread count give equal results on a CPU for any history of stops, kills and resumes. Throws Error if
/// check() does, for a checkpoint of another description, and if the training diverges, whose checkpoint it removes: if
/// the loss is not finite, or a bias at the end is none.
std::optional<Repair> train_repair(const RepairedStudent& student, const DataSet& data, const RepairOptions& options,
                                   const std::string& description, const std::filesystem::path& checkpoint_path,
                                   const RepairListener& listener);

}  // namespace triseg
