// START HERE in this folder. Trains a network in float, fine-tunes it with fake quantization, converts it to INT8.
#pragma once

#include "data/dataset.hpp"
#include "network/quantized_network.hpp"
#include "network/recipes.hpp"
#include "trainer/batches.hpp"
#include "trainer/checkpoint.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace triseg {

struct TrainingOptions {
  // These change results.
  Scheme scheme = Scheme::fbgemm;
  int epochs = 20;     ///< in float
  int qat_epochs = 4;  ///< quantization-aware, after folding batch norm; 0 converts with calibrated ranges
  int batch_size = 128;
  double learning_rate = 0.05;       ///< peak of the float phase: linear warm-up from a tenth, then half a cosine to 0
  double qat_learning_rate = 0.001;  ///< start of the quantization-aware phase: half a cosine to 0
  double momentum = 0.9;             ///< Nesterov
  double weight_decay = 5e-4;        ///< on weights only
  Augmentation augmentation;
  std::uint64_t seed = 1;
  // These change speed (and the last bits of results: sums are ordered differently).
  std::string device = "auto";  ///< auto, cpu or cuda
  int threads = 0;              ///< 0: one per core
};

/// What the result depends on, `name = value` a line: two runs with equal text are the same training. The data is named
/// by its digest (DataSet::sha256), a recipe that is not a shipped one besides by its own.
std::string configuration(const Recipe& recipe, const std::string& data_sha256, const TrainingOptions& options);

/// Where a running epoch is.
struct TrainingProgress {
  int epoch = 0, epochs = 0;  ///< from 1, over both phases
  bool quantized = false;
  std::size_t images = 0, images_total = 0;  ///< of this epoch
  double loss = 0;                           ///< mean of this epoch so far [nats]
};

struct TrainingListener {
  std::function<void(const TrainingProgress&)> progress;  ///< after every step
  std::function<void(const EpochRecord&)> epoch;          ///< after every epoch, its checkpoint written
  std::function<void(int done, int epochs)> resumed;      ///< once, if a checkpoint has been found: its epochs, and all
  std::function<bool()> stop;                             ///< asked after every step: true ends the training there
};

struct TrainingResult {
  QuantizedNetwork network;
  TrainingCheckpoint checkpoint;  ///< history and accuracies
};

/// Trains on the search split of `data`, choosing by the validation split. Resumes from `checkpoint_path` if it exists,
/// and writes it after every epoch. Nothing if the listener stopped it: the checkpoint is of the last epoch that was
/// finished. Equal options, build and thread count give equal results for any history of stops, kills and resumes.
/// Throws Error if check() does, for a checkpoint of another configuration, and for a training that died, of which it
/// removes the checkpoint: if the loss stops being finite, or after the epoch in which a layer gives 0, or anything
/// that is not finite, for every validation image.
std::optional<TrainingResult> train(const Recipe& recipe, const DataSet& data, const TrainingOptions& options,
                                    const std::filesystem::path& checkpoint_path, const TrainingListener& listener);

/// Throws Error naming the first option that is out of range, as the command line spells it.
void check(const TrainingOptions& options);
/// The same, and for a shift out of the network's input, for data that does not fit the network or the batch size, and
/// for a device that is not there.
void check(const TrainingOptions& options, const Network& network, const DataSet& data);

/// Shares of images whose largest logit is that of the label [percent]. `largest`, if there, gets the largest absolute
/// output of each layer (TrainableNetwork::logits).
double accuracy(TrainableNetwork& network, const PixelSet& set, std::vector<float>* largest = nullptr);

}  // namespace triseg
