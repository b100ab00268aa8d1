// Choosing where a search starts.
#pragma once

#include "core/quantized_network.hpp"
#include "learner/run_data.hpp"
#include "runner/rollout.hpp"
#include "runner/search_options.hpp"

#include <cstdint>
#include <vector>

namespace triseg {

/// Sets every site's start as --warm-start says: the analytic start of the best reward over the calibration images, or the one
/// named (the initial codes where the search starts cold). Returns the student images it took.
std::uint64_t choose_start(Rollout& rollout, const QuantizedNetwork& model, const SearchOptions& options, std::vector<SiteData>& sites);

}  // namespace triseg
