// Proximal policy optimization over the codes of all sites.
#pragma once

#include "learner/strategy.hpp"

#include <memory>

namespace triseg {

/// Where the policy's first draws are.
enum class WarmStart {
  mse,   ///< around the per-site MSE optimum of the histogram
  init,  ///< around the initial codes tmax * k / 5
  none,  ///< nowhere: a network with random heads, as the Python original starts
};

struct PpoOptions {
  double learning_rate = 3e-4;  ///< of Adam
  int epochs = 4;               ///< passes over an iteration's episodes
  double clip = 0.2;            ///< of the probability ratio
  double gamma = 0.99;          ///< discount over sites
  double value_coefficient = 0.5;
  double entropy_coefficient = 0.01;
  WarmStart warm_start = WarmStart::mse;
  double prior_tolerance = 0.3; ///< width of the first draws: codes within it raise a site's squared error by this share
  bool operator==(const PpoOptions&) const = default;
};

/// The policy: an encoder 4 -> 64 -> 64 (tanh) of the site's state, four heads of 256 logits and a critic. A head's
/// logits are the prior around the start, fixed, plus what the network learns; the draws are categorical over the legal
/// codes (action_space.hpp). Rewards are normalized within the iteration, whose episodes share their images.
/// PPO: Schulman et al. 2017, arXiv:1707.06347; as in the Python original, the critic that advantages are taken from is the one of
/// the running epoch, not of the first. A policy over L sites has L states: an update evaluates L rows.
/// `sites` give states, starts, tmax and histograms.
std::unique_ptr<Strategy> make_ppo(const std::vector<SiteData>& sites, const PpoOptions& options, std::uint64_t seed);

}  // namespace triseg
