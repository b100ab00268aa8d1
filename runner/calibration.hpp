// Calibration: what the search knows of each site before its first episode.
#pragma once

#include "learner/strategies/initial_codes.hpp"
#include "learner/run_data.hpp"
#include "runner/ranks/rollout.hpp"
#include "runner/options/search_options.hpp"

#include <cstdint>
#include <vector>

namespace triseg {

/// Runs the teacher over the first calib_batches * batch_size images of the search split and returns, per site, scale,
/// histogram, tmax (no more than the site's highest code), starts and state. Throws Error naming a site that has no
/// scale, no non-zero code, or too few codes.
std::vector<SiteData> calibrate(Rollout& rollout, const Problem& problem, const IterationOptions& options);

}  // namespace triseg
