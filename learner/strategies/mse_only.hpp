// The baseline without a search.
#pragma once

#include "learner/strategies/strategy.hpp"

#include <memory>

namespace triseg {

/// Each site's codes are chosen by its own histogram, exactly (mse_optimum), and no episode is scored. Learns and keeps
/// nothing.
std::unique_ptr<Strategy> make_mse_only(const std::vector<SiteData>& sites);

}  // namespace triseg
