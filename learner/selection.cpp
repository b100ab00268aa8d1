#include "learner/selection.hpp"

#include <algorithm>
#include <numeric>
#include <set>

namespace triseg {

std::vector<std::size_t> best_episodes(std::span<const Episode> episodes, std::span<const Update> updates, std::size_t k) {
  std::vector<double> gain(episodes.size());
  for (std::size_t i = 0; i < episodes.size(); ++i)
    gain[i] = episodes[i].reward - updates[episodes[i].iteration].reference_reward;
  std::vector<std::size_t> order(episodes.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return gain[a] > gain[b]; });
  std::vector<std::size_t> best;
  std::set<std::vector<Codes>> seen;
  for (std::size_t i : order) {
    if (best.size() == k) break;
    if (seen.insert(episodes[i].codes).second) best.push_back(i);
  }
  return best;
}

double reward(const Score& score, double attention_weight) {
  return -(score.mean_kd() + attention_weight * score.mean_attention());
}

double accuracy_drop(const Score& score) {
  return score.images ? 100.0 * (double(score.teacher_only) - double(score.student_only)) / double(score.images) : 0;
}

Choice choose(std::span<const Candidate> candidates, double max_acc_drop) {
  for (std::size_t i = 0; i < candidates.size(); ++i)
    if (accuracy_drop(candidates[i].validation) <= max_acc_drop) return {i, true};
  return {0, false};
}

}  // namespace triseg
