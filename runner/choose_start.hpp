// Choosing where a search starts.
#pragma once

#include "learner/run_data.hpp"
#include "network/problem.hpp"
#include "runner/ranks/rollout.hpp"
#include "runner/options/search_options.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace triseg {

/// Sets every site's start as `warm_start` says: the analytic start of the best reward over the calibration images, or
/// the one named (the initial codes where the search starts cold). `branches`: the sites at their calibrated tmax, and
/// then those of every branch of a search for tmax; each gets a start of its own. Returns the student images it took.
std::uint64_t choose_starts(Rollout& rollout, const Problem& problem, const IterationOptions& iteration,
                            WarmStart warm_start, double attention_weight,
                            std::span<std::vector<SiteData>* const> branches);

}  // namespace triseg
