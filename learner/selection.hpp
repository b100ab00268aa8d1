// Which codes are re-scored at the end of a search, and which of them is chosen.
#pragma once

#include "learner/run_data.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace triseg {

/// Indices of the `k` best episodes with distinct codes, best first; of equal ones the earlier. Images differ between
/// iterations, so an episode counts by its gain: its reward less that of the reference codes on the same images.
std::vector<std::size_t> best_episodes(std::span<const Episode> episodes, std::span<const Update> updates, std::size_t k);

/// -(mean KD + attention_weight * mean attention distance).
double reward(const Score& score, double attention_weight);

/// Accuracy of the teacher less that of the student [percentage points].
double accuracy_drop(const Score& score);

struct Choice {
  std::size_t index = 0;
  bool within = false;  ///< its drop is at most max_acc_drop
};

/// Of candidates sorted by validation reward, best first: the first whose accuracy drop is at most `max_acc_drop`
/// [percentage points], else the first.
Choice choose(std::span<const Candidate> candidates, double max_acc_drop);

}  // namespace triseg
