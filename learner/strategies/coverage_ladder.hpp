// Searches for several coverages at once: where tmax is searched.
#pragma once

#include "learner/strategies/strategies.hpp"

#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace triseg {

/// The problem at one coverage: the sites with tmax and start of students that let `passed` of the sites' activations pass.
struct Rung {
  double passed = 0;
  std::vector<SiteData> sites;
};

/// The sites' tmax moved until `passed` pass (CoverageTarget), with initial codes and MSE optimum for it, and no start yet. Where nothing
/// may pass, tmax is 255 and no code to search.
Rung make_rung(const std::vector<SiteData>& sites, double passed);

/// A strategy of its own for each rung; an iteration belongs to one of them, in turn. Every draw is moved to its rung's coverage
/// before it is scored (CoverageTarget), so that draws of a rung differ in quality alone.
/// `rungs`: at least one. name, options, seed: as make_strategy takes them.
std::unique_ptr<Strategy> make_coverage_ladder(std::string_view name, std::vector<Rung> rungs, const PpoOptions& options,
                                               std::uint64_t seed);

/// The starts of the rungs, (rungs)(sites), in a checkpoint of a ladder. Throws Error if they are not there, or not for these rungs.
void restore_starts(const Checkpoint& checkpoint, std::span<Rung> rungs);

}  // namespace triseg
