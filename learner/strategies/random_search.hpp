// The plainest baseline.
#pragma once

#include "learner/strategies/strategy.hpp"

#include <memory>

namespace triseg {

/// Every episode draws every site's codes uniformly from all legal ones. Learns nothing; its most probable codes are
/// the best of the episodes by gain over the mean of their iteration.
std::unique_ptr<Strategy> make_random_search(const std::vector<SiteData>& sites, std::uint64_t seed);

}  // namespace triseg
