// Gradients of a student's codes, behind an interface without LibTorch types (its headers are slow to compile).
#pragma once

#include "core/codes.hpp"
#include "network/problem.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace triseg {

/// What is differentiated: the negative reward of a search, KD + attention_weight * attention.
struct CodesLoss {
  double smoothing = 0.15;  ///< deviation of a jump's gradient, in heights of the jump
  double temperature = 2;   ///< of the distillation
  double attention_weight = 0.1;
};

/// d loss / d code of one site.
struct SiteGradient {
  double t1 = 0, v1 = 0, t2 = 0, v2 = 0, tmax = 0;
};

/// The mean loss of a batch, and what it does where codes move.
struct CodesStep {
  double loss = 0;
  std::vector<SiteGradient> sites;
};

/// A student with a repair and codes that change. Its forward has the codes of the INT8 engines, in float32; rounding
/// and staircases have the gradients that RepairNetwork gives them. The gradient by a level v1 or v2 is the sum of the
/// gradients of the outputs that have it. By a threshold it is that by the jump behind it: the sum, over the outputs,
/// of the output's gradient times minus the jump's height times a Gaussian around the threshold + 1/2, whose deviation
/// is `smoothing` times the height, at least half a code. The height of the jump at tmax is tmax + 1 - v2.
///
/// All calls block. Not thread-safe.
class CodesNetwork {
 public:
  /// repair: empty: the model's own requantization. device: "auto", "cpu" or "cuda"; throws Error if it is missing.
  CodesNetwork(const Problem& problem, const Repair& repair, const CodesLoss& loss, const std::string& device);
  CodesNetwork(CodesNetwork&&) noexcept;
  ~CodesNetwork();

  /// Pixels (N, channels, height, width) as fit_image makes them; codes: (sites).
  CodesStep gradient(std::span<const std::uint8_t> pixels, std::span<const Codes> codes);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace triseg
