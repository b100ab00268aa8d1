// Searches side by side, a branch for every share of activations that may pass: where tmax is searched.
#pragma once

#include "learner/strategies/strategies.hpp"

#include <memory>
#include <span>
#include <vector>

namespace triseg {

/// One of the searches: the sites with tmax and start of students that let at most `pass_share` of the sites'
/// activations pass.
struct Branch {
  double pass_share = 0;
  std::vector<SiteData> sites;
};

/// The sites' tmax moved until `pass_share` pass (PassTarget), with initial codes and MSE optimum for it, and no start
/// yet. Where nothing may pass, tmax is 255 and no code to search.
Branch make_branch(const std::vector<SiteData>& sites, double pass_share);

/// A strategy of its own for each branch; an iteration belongs to one of them, in turn. Every draw is moved to its
/// branch's share before it is scored (PassTarget), so that draws of a branch differ in quality alone. `branches`: at
/// least one. options, seed, source: as make_strategy takes them.
std::unique_ptr<Strategy> make_branches(const StrategyOptions& options, std::vector<Branch> branches,
                                        std::uint64_t seed, const GradientSource& source = {});

/// The starts of the branches, (branches)(sites), in a checkpoint of such a search. Throws Error if they are not there,
/// or not for these branches.
void restore_starts(const Checkpoint& checkpoint, std::span<Branch> branches);

}  // namespace triseg
