// The codes that a search can start from: what histograms and weights alone say, before any student is run.
#pragma once

#include "network/problem.hpp"
#include "learner/run_data.hpp"

#include <string>
#include <vector>

namespace triseg {

struct Start {
  std::string name;          ///< "init", "mse", "balanced-3": what /top/origin calls it
  std::vector<Codes> codes;  // (sites)
};

/// The initial codes, the MSE optimum, and balanced optima that weigh the mean of every site's error by 1, 3, 10 and 30
/// times mean_weight of the layer behind it. `sites` need tmax, histogram, init and mse.
std::vector<Start> analytic_starts(const Problem& problem, const std::vector<SiteData>& sites);

}  // namespace triseg
