// A student whose requantization is trained, behind an interface without LibTorch types (its headers are slow to
// compile).
#pragma once

#include "core/codes.hpp"
#include "network/problem.hpp"
#include "trainer/trainable_network.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace triseg {

/// One optimizer step of a repair.
struct RepairStep {
  double multiplier_rate = 0;  ///< learning rate of the logarithms of multipliers
  double bias_rate = 0;        ///< of biases, counted in codes of the layer's output
  double temperature = 2;      ///< of the distillation
};

/// The student of some codes. The convolutions, fully connected layers among them, that read what a site changes or
/// that make a site's value, with no other convolution between, are requantized by multiplier' = multiplier *
/// exp(slope) and bias' = bias + shift / multiplier', with a slope and a shift for every output channel, or one slope
/// for the whole layer. Slopes stay within 8 of 0. They follow the gradient of KD, the distillation term of a search:
/// T^2 KL(teacher
/// || student) at temperature T, teacher and student over the same images.
///
/// Rounding has a straight-through gradient of 1 (Bengio et al. 2013, arXiv:1308.3432). The gradient of a staircase is
/// that of the staircase smoothed: at a jump of height h behind code t a Gaussian of weight h around t + 1/2 whose
/// deviation is `smoothing` * h, at least half a code; where codes pass through, 1 besides. The gradient of a table of
/// the network itself is half of the step over the neighbours of a code.
///
/// What passes through is exact, so KD alone would let more and more pass. Every site's share is held at what observe()
/// saw: the step's loss has price * share / observed share in it, and the price follows the excess (dual ascent on the
/// Lagrangian, as in Boyd and Vandenberghe 2004, Convex Optimization, chapter 5). The share's gradient is the Gaussian
/// of the jump at tmax.
///
/// All calls block. Not thread-safe.
class RepairNetwork {
 public:
  /// codes: (sites). start: the repair to begin with, empty: the model's own requantization. device: "auto", "cpu" or
  /// "cuda"; throws Error if it is missing.
  RepairNetwork(const Problem& problem, std::span<const Codes> codes, const Repair& start, bool shared_slope,
                double smoothing, const std::string& device);
  ~RepairNetwork();

  /// Counts what passes through at each site: the mean over all calls is what steps hold. Never called: nothing is
  /// held.
  void observe(std::span<const std::uint8_t> pixels);

  /// One step of Adam (Kingma and Ba 2015, arXiv:1412.6980) on a batch; its mean KD [nats] before the step. Pixels are
  /// (N, channels, height, width) bytes as fit_image makes them.
  double step(std::span<const std::uint8_t> pixels, const RepairStep& step);

  /// The requantization of what is trained, biases rounded, elsewhere that of the start. Throws Error naming layer and
  /// channel if a bias is more than 2^30 away from 0.
  Repair repair() const;

  /// Slopes, shifts and what Adam knows of them, by name ("conv2.slope", "conv2.slope.mean"), what is held
  /// ("conv2.passed": the sum of observed shares and its price), and the numbers of "steps" and "observations".
  TrainingTensors tensors() const;
  /// Restores tensors(). Throws Error naming a tensor that is missing or of another size.
  void set_tensors(const TrainingTensors& tensors);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The gradient that the class above gives to a staircase's output with respect to the code q = 0..255 before it.
std::array<float, 256> smoothed_gradient(const Codes& codes, double smoothing);

}  // namespace triseg
