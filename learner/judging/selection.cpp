#include "learner/judging/selection.hpp"

#include "learner/judging/confidence.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

namespace triseg {

std::vector<std::size_t> best_episodes(std::span<const Episode> episodes, std::span<const Update> updates,
                                       std::size_t k) {
  std::size_t branches = 1;
  for (const Update& update : updates) branches = std::max<std::size_t>(branches, update.branch + 1);
  std::vector<double> gain(episodes.size());
  for (std::size_t i = 0; i < episodes.size(); ++i)
    gain[i] = episodes[i].reward - updates[episodes[i].iteration].reference_reward;
  std::vector<std::size_t> order(episodes.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return gain[a] > gain[b]; });
  std::vector<std::size_t> best, taken(branches);
  std::set<std::vector<Codes>> seen;
  for (std::size_t i : order) {
    std::size_t& of_branch = taken[updates[episodes[i].iteration].branch];
    if (of_branch == std::max<std::size_t>(1, k / branches) || !seen.insert(episodes[i].codes).second) continue;
    ++of_branch;
    best.push_back(i);
  }
  return best;
}

double best_gain(std::span<const Update> updates) {
  double best = -std::numeric_limits<double>::infinity();
  for (const Update& u : updates) best = std::max(best, u.best_reward - u.reference_reward);
  return best;
}

double reward(const Score& score, double attention_weight) {
  return -(score.mean_kd() + attention_weight * score.mean_attention());
}

double accuracy_drop(const Score& score) {
  return score.images ? 100.0 * (double(score.teacher_only) - double(score.student_only)) / double(score.images) : 0;
}

void add_records(std::vector<Finalist>& finalists, std::span<const std::size_t> which, std::span<const Score> records,
                 double attention_weight) {
  for (std::size_t i = 0; i < records.size(); ++i) {
    Finalist& finalist = finalists[which[i % which.size()]];
    finalist.score += records[i];
    finalist.record_rewards.push_back(-(records[i].kd + attention_weight * records[i].attention));
  }
}

Difference reward_difference(std::span<const double> a, std::span<const double> b, std::uint64_t images) {
  a = a.first(std::min(a.size(), b.size()));
  Difference difference{0, 0, a.size()};
  for (std::size_t r = 0; r < a.size(); ++r) difference.mean += a[r] - b[r];
  difference.mean /= double(images);
  if (a.size() < 2) return difference;
  double squares = 0;
  for (std::size_t r = 0; r < a.size(); ++r) {
    const double n = double(std::min<std::uint64_t>(split_batch, images - r * split_batch));
    const double deviation = a[r] - b[r] - n * difference.mean;
    squares += deviation * deviation;
  }
  difference.error = std::sqrt(squares * double(a.size()) / double(a.size() - 1)) / double(images);
  return difference;
}

double half_width_95(const Difference& d) {
  return d.records < 2 ? std::numeric_limits<double>::quiet_NaN() : student_t_975(d.records - 1) * d.error;
}

bool within_error(const Difference& difference) { return difference.mean >= -1.96 * difference.error; }

std::size_t count_scored_on_all(std::span<const Candidate> candidates) {
  return std::count_if(candidates.begin(), candidates.end(),
                       [&](const Candidate& c) { return c.validation.images == candidates.front().validation.images; });
}

std::size_t count_within_error(std::span<const Candidate> candidates) {
  return std::count_if(candidates.begin(), candidates.end(), [&](const Candidate& c) {
    return within_error(reward_difference(c.record_rewards, candidates.front().record_rewards, c.validation.images));
  });
}

Gap validation_gap(const Score& validation, const Score& test, double attention_weight) {
  return {test.mean_kd() - validation.mean_kd(), reward(test, attention_weight) - reward(validation, attention_weight),
          test.student_accuracy() - validation.student_accuracy(), accuracy_drop(test) - accuracy_drop(validation)};
}

Choice choose(std::span<const Candidate> candidates, double max_acc_drop) {
  for (std::size_t i = 0; i < candidates.size(); ++i)
    if (accuracy_drop(candidates[i].validation) <= max_acc_drop) return {i, true};
  return {0, false};
}

Choice choose_widest(std::span<const Candidate> candidates, std::span<const double> coverage, double max_acc_drop) {
  Choice choice;
  for (std::size_t i = 0; i < candidates.size(); ++i)
    if (accuracy_drop(candidates[i].validation) <= max_acc_drop &&
        (!choice.within || coverage[i] > coverage[choice.index]))
      choice = {i, true};
  return choice;
}

}  // namespace triseg
