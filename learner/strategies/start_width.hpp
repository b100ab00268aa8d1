// How far around its start a search looks first.
#pragma once

#include "learner/strategies/action_space.hpp"
#include "learner/run_data.hpp"

namespace triseg {

/// How far a start's code may move, alone, until the site's squared error has risen by `tolerance` of the start's: the
/// mean over both directions, at least one code.
double start_width(const SiteData& site, const Codes& start, Head head, double tolerance);

}  // namespace triseg
