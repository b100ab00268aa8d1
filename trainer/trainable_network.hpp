// The float network that is trained, behind an interface without LibTorch types (its headers are slow to compile).
#pragma once

#include "network/recipes.hpp"
#include "trainer/conversion.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace triseg {

/// Every value that training changes, by name ("conv1.weight", "conv1.weight.momentum", "conv1.range"), row-major.
using TrainingTensors = std::map<std::string, std::vector<float>>;

/// The tensor of this name. Throws Error naming it if it is missing or does not have `size` values.
const std::vector<float>& stored_tensor(const TrainingTensors& tensors, const std::string& name, std::size_t size);

/// Stochastic gradient descent with Nesterov momentum. The decay applies to weights, not to biases or batch norm.
struct StepOptions {
  double learning_rate = 0;
  double momentum = 0.9;
  double weight_decay = 5e-4;
  bool observe = true;  ///< quantization-aware steps only: let the activation ranges follow the batch
};

/// A network in training, in one of two forms: *unfolded* (float, with batch norm) as constructed, and *folded* (batch
/// norm inside weights and biases), in which weights and activations pass through fake quantization with
/// straight-through gradients. Pixels are (N, channels, height, width) bytes as fit_image makes them. All calls block.
/// Not thread-safe.
class TrainableNetwork {
 public:
  /// Initial weights are a function of the seed alone. Throws Error for an operation that is not trained. device:
  /// "auto", "cpu" or "cuda"; throws Error if it is missing.
  TrainableNetwork(const Recipe& recipe, Scheme scheme, std::vector<double> mean,
                   std::vector<double> standard_deviation, std::uint64_t seed, const std::string& device);
  ~TrainableNetwork();

  /// Folds batch norm into weights and biases and drops all momentum.
  void fold();
  bool folded() const;

  /// Sets the range of each value that has one (ValueScales) to the mean, over the calls since `fold`, of the batch
  /// extremes, without fake quantization.
  void calibrate(std::span<const std::uint8_t> pixels);

  /// One optimizer step on a batch; returns its mean cross-entropy [nats] before the step. Throws Error naming the
  /// node whose range would follow values that are not finite.
  double step(std::span<const std::uint8_t> pixels, std::span<const std::uint16_t> labels, const StepOptions& options);

  /// Seeds dropout.
  void seed_dropout(std::uint64_t seed);

  /// Inference: (N, classes). Folded: through fake quantization unless `fake_quantized` is false. `largest` (nodes),
  /// empty at first, is raised to the largest absolute element of each value; not a number if one is none.
  std::vector<float> logits(std::span<const std::uint8_t> pixels, bool fake_quantized = true,
                            std::vector<float>* largest = nullptr);

  TrainingTensors tensors() const;
  /// Restores tensors() of a network in the same form. Throws Error naming a tensor that is missing or of another size.
  void set_tensors(const TrainingTensors& tensors);

  /// What convert() takes. Folded networks only.
  TrainedNetwork trained() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Throws Error unless `device` is "auto", "cpu" or "cuda" and there.
void check_device(const std::string& device);

/// Threads for tensor operations in this process; 0: one per core.
void set_training_threads(int threads);

}  // namespace triseg
