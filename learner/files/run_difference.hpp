// What two runs differ in, field by field.
#pragma once

#include "learner/run_data.hpp"

#include <string>
#include <vector>

namespace triseg {

/// A line for every field that must be equal in two runs of one configuration and seed (docs/determinism.md) and is
/// not, in the order of docs/run-file.md: "/episodes/codes: 3 of 640 rows differ, the first is 17". Empty if they have
/// the same content. Wall clock and placement are not compared, nor what only a finished run has unless both are
/// finished.
std::vector<std::string> content_differences(const RunData& a, const RunData& b);

}  // namespace triseg
