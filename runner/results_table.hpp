// A finished run for people.
#pragma once

#include "learner/run_data.hpp"

#include <string>

namespace triseg {

/// The selected codes, a line a site, and below them what the student does on the test split, beside the teacher and the
/// MSE optimum. Several lines, each ended.
std::string results_table(const RunData& run);

}  // namespace triseg
