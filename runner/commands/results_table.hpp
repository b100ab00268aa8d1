// A finished run for people.
#pragma once

#include "learner/run_data.hpp"

#include <string>
#include <string_view>

namespace triseg {

/// Accuracies of teacher and student and the drop, with 95 % confidence intervals and McNemar's p-value, on images of
/// the split called `split`.
std::string accuracy_lines(const Score& score, std::string_view split);

/// A line if no candidate met --max-acc-drop; the selected codes, a line a site; and the outcome. Several lines, each
/// ended.
std::string results_table(const RunData& run);

/// What the selected student does on the test split, beside the teacher and the MSE optimum, and what it saves.
std::string outcome_lines(const RunData& run);

}  // namespace triseg
