// Gradient descent on codes, by gradients that another program part computes.
#pragma once

#include "learner/strategies/action_space.hpp"
#include "learner/strategies/strategy.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace triseg {

/// What the loss, the negative reward, does where codes move, over the images of one step.
struct CodesGradient {
  double loss = 0;
  std::vector<std::array<double, all_heads.size()>> by_code;  // (sites)(Head): d loss / d code
};

/// Computes gradients. The images of a step follow from its number alone, from 0.
struct GradientSource {
  std::function<CodesGradient(std::uint64_t step, std::span<const Codes> codes)> gradient;  ///< empty: there is none
  std::uint32_t images = 0;                                                                 ///< of a step
};

struct SteOptions {
  double rate = 0.03;       ///< of Adam at the start, in widths of the start's codes (start_width)
  double smoothing = 0.15;  ///< deviation of a jump's gradient, in heights of the jump
  bool operator==(const SteOptions&) const = default;
};

/// Steps of gradient descent before an episode.
inline constexpr std::uint64_t ste_steps = 15;

/// Straight-through gradient descent (Bengio et al. 2013, arXiv:1308.3432). Every code of every site is a real
/// parameter, at first the start's. A step rounds them to the nearest legal codes, takes the gradient there as that of
/// the parameters, and moves these by Adam (Kingma and Ba 2015, arXiv:1412.6980), at a rate of rate / sqrt(1 + step /
/// 1000); a parameter stays within half a code of its legal code. An episode is `ste_steps` steps, and the running
/// average of the parameters, 0.998 of the old one and 0.002 of the new, rounded, is what it scores. So an episode
/// takes ste_steps + 1 batches of student images, and of a budget of N episodes N / (ste_steps + 1) are scored.
///
/// Where tmax is searched, every step and every average is moved to the share that the start lets pass (PassTarget).
/// Its rewards it does not learn from.
std::unique_ptr<Strategy> make_ste(const std::vector<SiteData>& sites, const SteOptions& options,
                                   double width_tolerance, GradientSource source);

}  // namespace triseg
