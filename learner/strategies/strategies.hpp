// The strategies by name.
#pragma once

#include "learner/strategies/ppo.hpp"
#include "learner/strategies/ste.hpp"
#include "learner/strategies/strategy.hpp"

#include <array>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

namespace triseg {

enum class StrategyKind { ppo, cma_es, coordinate, random, mse, ste };

/// What --strategy takes, the default first.
inline constexpr std::array<std::pair<std::string_view, StrategyKind>, 6> strategy_names = {{
    {"ppo", StrategyKind::ppo},
    {"cma-es", StrategyKind::cma_es},
    {"coordinate", StrategyKind::coordinate},
    {"random", StrategyKind::random},
    {"mse", StrategyKind::mse},
    {"ste", StrategyKind::ste},
}};

/// A strategy, what it starts from, and what each has of its own.
struct StrategyOptions {
  StrategyKind kind = StrategyKind::ppo;
  StartOptions start;
  PpoOptions ppo;
  SteOptions ste;
};

/// What an episode takes of a budget that is counted in batches of student images: 1, or with the gradient steps of ste
/// more.
constexpr std::uint64_t budget_of_an_episode(StrategyKind kind) {
  return kind == StrategyKind::ste ? ste_steps + 1 : 1;
}
/// Episodes of an iteration whose budget, --episodes-per-update, is so many: at least one.
constexpr std::uint64_t episodes_of(StrategyKind kind, std::uint64_t budget) {
  const std::uint64_t episodes = budget / budget_of_an_episode(kind);
  return episodes > 0 ? episodes : 1;
}

/// source: for ste; without one that throws Error.
std::unique_ptr<Strategy> make_strategy(const StrategyOptions& options, const std::vector<SiteData>& sites,
                                        std::uint64_t seed, const GradientSource& source = {});

}  // namespace triseg
