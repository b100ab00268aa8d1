// The codes that a search can start from: what histograms and weights alone say, before any student is run.
#pragma once

#include "network/problem.hpp"
#include "learner/run_data.hpp"

#include <array>
#include <cstddef>
#include <string>
#include <vector>

namespace triseg {

struct Start {
  std::string name;          ///< "init", "mse", "balanced-3": what /top/origin calls it
  std::vector<Codes> codes;  // (sites)
};

/// Multiples of a site's mean_weight, by which balanced optima weigh the mean of the site's error.
inline constexpr std::array balance_factors = {1, 3, 10, 30};
inline constexpr std::size_t analytic_start_count = 2 + balance_factors.size();

/// The initial codes, the MSE optimum, and the balanced optima. `sites` need tmax, histogram, init and mse.
std::vector<Start> analytic_starts(const Problem& problem, const std::vector<SiteData>& sites);

}  // namespace triseg
