// The race of the finalists: all are scored on the same first validation images, and who cannot be selected any more
// goes on no further.
#pragma once

#include "learner/run_data.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace triseg {

/// Images after which a race is looked at, if the split has more.
inline constexpr std::uint64_t race_looks[] = {1000, 2000, 4000, 6000, 8000};

/// The probability, at most, that a race loses the finalist that all images would select because of its reward, and
/// because of its accuracy drop.
inline constexpr double race_error = 0.05;

/// Finalists that are to be scored next, on the same images.
struct Heat {
  std::vector<std::size_t> finalists;  ///< ascending; none: nothing is left to score
  std::uint64_t begin = 0, end = 0;    ///< the images, at most 2000
};

/// The next heat of a race for the best reward among those whose accuracy drop is at most max_acc_drop [percentage
/// points], else the best reward: choose(). It follows from the scores alone. images: of the split; every finalist has
/// been scored on a beginning of it, which ends at a look or is the whole.
///
/// A race (Maron and Moore, "The racing algorithm", Artificial Intelligence Review 11, 1997) with paired differences
/// and Student's t in the place of Hoeffding's bound (their section 4.4). Finalists are taken by their images, most
/// first, then by their mean reward, best first. One of them is out, if not scored on all images, when one taken before
/// it that is not out *beats* it and is not *beyond* the limit, or when both are beyond it.
///
/// - s beats c: on the n images that both have, the mean difference D of their rewards is positive and
///   D / (e sqrt(1 - n / images)) significant; e is the standard error of reward_difference, and the root is that of a
///   sample without replacement (Cochran, Sampling Techniques, 3rd ed. 1977, 2.6), since all images decide. One-sided
///   level: race_error / looks / (finalists - 1), which bounds the error of all comparisons with the finalist to be
///   selected at all looks together (Bonferroni). Degrees of freedom: records - 1, rounded down to an even number.
/// - c is beyond the limit: by Tango's score statistic of the drop at the limit (drop_statistic) over the same root, at
///   the one-sided level race_error / looks; on all images: its drop is larger than the limit.
///
/// So the first taken is never out. Who is out comes back, where it had stopped, when those that beat it turn out to be
/// beyond the limit: being out is no judgement on the accuracy of others. The finalists of fewest images race first.
Heat next_heat(std::span<const Finalist> finalists, std::uint64_t images, double max_acc_drop);

/// The next images for all finalists together.
Heat next_heat_of_all(std::span<const Finalist> finalists, std::uint64_t images);

}  // namespace triseg
