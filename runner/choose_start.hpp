// Choosing where a search starts.
#pragma once

#include "network/quantized_network.hpp"
#include "learner/run_data.hpp"
#include "runner/ranks/rollout.hpp"
#include "runner/search_options.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace triseg {

/// Sets every site's start as --warm-start says: the analytic start of the best reward over the calibration images, or the one
/// named (the initial codes where the search starts cold). `problems`: the sites at their calibrated tmax, and then
/// at those of every part of a search for tmax; each gets a start of its own. Returns the student images it took.
std::uint64_t choose_starts(Rollout& rollout, const QuantizedNetwork& model, const SearchOptions& options,
                            std::span<std::vector<SiteData>* const> problems);

}  // namespace triseg
