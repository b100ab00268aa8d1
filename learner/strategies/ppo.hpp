// Proximal policy optimization over the codes of all sites.
#pragma once

#include "learner/strategies/strategy.hpp"

#include <memory>

namespace triseg {

struct PpoOptions {
  double learning_rate = 3e-4;               ///< of Adam, on the network
  double mean_rate = 0.3, width_rate = 0.2;  ///< of an epoch, on means and widths, in units of the natural gradient
  int epochs = 4;                            ///< passes over an iteration's episodes
  double clip = 1.0;                         ///< of the probability ratio
  double gamma = 0.99;                       ///< discount over sites
  double value_coefficient = 0.5;
  double entropy_coefficient = 0;
  int lag = 0;  ///< iterations that may have been drawn, and not learned from, when the next is: 0 or 1
  bool operator==(const PpoOptions&) const = default;
};

/// Every site is a step whose actions are its codes, four or with a searched tmax five, drawn from categorical
/// distributions over the codes that keep the draw legal (action_space.hpp). From a warm start their logits are those
/// of a Gaussian, -(c - mean)^2 / (2 width^2), with a mean and a width learned for every code of every site; the first
/// ones are the start and start_width. Cold, they are the heads of a network over the site's state, as in the Python
/// original; the critic is that network's in both cases. PPO: Schulman et al. 2017, arXiv:1707.06347; as in the Python
/// original, the critic that advantages are taken from is the one of the running epoch, not of the first. Means and
/// widths go along the natural gradient of the clipped objective (Wierstra et al. 2014, "Natural evolution strategies",
/// JMLR 15; separable as in Schaul, Glasmachers and Schmidhuber, GECCO 2011), by ranks of rewards. The most probable
/// codes are those of a running average of the means. With a lag the ratio is that to the policy that drew, which has
/// learned since; without, to the one that learns. A policy over L sites has L states: an update evaluates L rows.
/// `sites` give states, starts, tmax and histograms.
std::unique_ptr<Strategy> make_ppo(const std::vector<SiteData>& sites, const PpoOptions& options,
                                   const StartOptions& start, std::uint64_t seed);

}  // namespace triseg
