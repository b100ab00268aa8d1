// The leaderboard of a sweep: which setting is better, and how sure that is.
#pragma once

#include "runner/sweep/sweep_folder.hpp"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace triseg {

struct TopOptions {
  std::string sort = "kd";                                 ///< a figure: kd, accuracy, drop, coverage or energy
  std::vector<std::pair<std::string, std::string>> where;  ///< varied options that must all have these values
  std::size_t limit = 0;                                   ///< settings shown; 0: all
};

/// The settings of a sweep, combinations of what varies but for the seed, the best first. For each: the
/// number of its finished seeds, the episodes that they, and those stopped by [halving], have scored; of the selected
/// students on the validation split the means over them with half the width of the 95 % interval
/// (Student's t); last the difference of the sorted figure to the first setting's, paired by seed. The test split
/// decides nothing and is not shown. Throws Error for a figure or an option that the sweep does not have, and if no run
/// is finished.
std::string top_text(const SweepFolder& folder, const TopOptions& options);

}  // namespace triseg
