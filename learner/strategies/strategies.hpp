// The strategies by name.
#pragma once

#include "learner/strategies/ppo.hpp"
#include "learner/strategies/strategy.hpp"

#include <memory>
#include <string_view>
#include <vector>

namespace triseg {

/// What --strategy takes, the default first.
std::vector<std::string_view> strategy_names();

/// The strategy called `name`. options: PPO's, whose width_tolerance CMA-ES shares. Throws Error for an unknown name.
std::unique_ptr<Strategy> make_strategy(std::string_view name, const std::vector<SiteData>& sites, const PpoOptions& options,
                                        std::uint64_t seed);

}  // namespace triseg
