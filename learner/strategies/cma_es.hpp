// Separable CMA-ES over the codes of all sites.
#pragma once

#include "learner/strategies/strategy.hpp"

#include <memory>

namespace triseg {

/// A Gaussian over all codes of all sites with a diagonal covariance, adapted from the ranks of an iteration's
/// episodes: Ros and Hansen, "A simple modification in CMA-ES achieving linear time and space complexity", PPSN 2008,
/// with the default parameters of Hansen's tutorial (arXiv:1604.00772) for a population of one iteration. Codes are
/// rounded and moved to legal ones; no deviation falls below a margin that keeps neighbouring codes within reach (after
/// Hamano et al., arXiv:2205.13482). It starts at the start of every site, as wide as PPO's first draws.
std::unique_ptr<Strategy> make_cma_es(const std::vector<SiteData>& sites, double width_tolerance, std::uint64_t seed);

}  // namespace triseg
