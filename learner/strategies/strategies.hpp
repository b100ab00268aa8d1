// The strategies by name.
#pragma once

#include "learner/strategies/ppo.hpp"
#include "learner/strategies/strategy.hpp"

#include <array>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

namespace triseg {

enum class StrategyKind { ppo, cma_es, coordinate, random, mse };

/// What --strategy takes, the default first.
inline constexpr std::array<std::pair<std::string_view, StrategyKind>, 5> strategy_names = {{
    {"ppo", StrategyKind::ppo},
    {"cma-es", StrategyKind::cma_es},
    {"coordinate", StrategyKind::coordinate},
    {"random", StrategyKind::random},
    {"mse", StrategyKind::mse},
}};

/// A strategy, what it starts from, and what each has of its own.
struct StrategyOptions {
  StrategyKind kind = StrategyKind::ppo;
  StartOptions start;
  PpoOptions ppo;
};

std::unique_ptr<Strategy> make_strategy(const StrategyOptions& options, const std::vector<SiteData>& sites,
                                        std::uint64_t seed);

}  // namespace triseg
