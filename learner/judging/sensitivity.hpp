// What each site's staircase costs: alone, and by its share in all of them.
#pragma once

#include "core/codes.hpp"
#include "core/score.hpp"
#include "learner/judging/selection.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace triseg {

/// The students that are scored for L sites, each as codes (sites): the one of all staircases; for each site that with
/// its staircase alone; for each site that with all but its own. Codes{} is an exact site.
std::vector<std::vector<Codes>> sensitivity_students(std::span<const Codes> codes);

struct SiteSensitivity {
  Score alone, without;  ///< of the student with this staircase alone, and of that with all but this one
  Difference kd_alone;   ///< KD of the former [nats]; the teacher's own is 0
  Difference kd_without;
  Difference kd_saved;  ///< KD of all staircases less that of all but this one, on the same images [nats]; negative
                        ///< where errors cancel: the student is worse without it
};

struct Sensitivity {
  Score all;  ///< of the student of all staircases
  Difference kd;
  std::vector<SiteSensitivity> sites;
};

/// records: the scores of sensitivity_students, all of them on one record of images, then all on the next. Means and
/// standard errors are those of reward_difference, over records.
Sensitivity sensitivity(std::span<const Score> records, std::size_t sites);

/// The sites in the order of their KD alone, largest first; of equal ones the earlier.
std::vector<std::size_t> ranked(const Sensitivity& sensitivity);

}  // namespace triseg
