#include "learner/judging/race.hpp"

#include "learner/judging/confidence.hpp"
#include "learner/judging/selection.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace triseg {
namespace {

constexpr std::uint64_t images_of_heat = 2000;  // a multiple of split_batch

/// The normal deviate that is exceeded with probability race_error / 5: that many looks there are at most.
constexpr double limit_deviate = 2.3263478740408408;
static_assert(std::size(race_looks) == 5 && race_error / 5 == 0.01);

double mean_reward(const Finalist& f) {
  return std::accumulate(f.record_rewards.begin(), f.record_rewards.end(), 0.0) /
         double(std::max<std::uint64_t>(1, f.score.images));
}

class Race {
 public:
  Race(std::span<const Finalist> finalists, std::uint64_t images, double max_acc_drop)
      : finalists_(finalists), images_(images), max_acc_drop_(max_acc_drop) {
    const auto looks = std::count_if(std::begin(race_looks), std::end(race_looks), [&](auto n) { return n < images; });
    level_ = race_error / double(std::max<std::ptrdiff_t>(1, looks)) /
             double(std::max<std::size_t>(2, finalists.size()) - 1);
  }

  /// Those that are not out, in the order in which they are taken.
  std::vector<std::size_t> rest() const {
    std::vector<std::size_t> order(finalists_.size()), rest;
    std::vector<double> mean;
    std::vector<bool> beyond;
    for (const Finalist& f : finalists_) {
      mean.push_back(mean_reward(f));
      beyond.push_back(is_beyond(f.score));
    }
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      const std::uint64_t images_a = finalists_[a].score.images, images_b = finalists_[b].score.images;
      return images_a != images_b ? images_a > images_b : mean[a] > mean[b];
    });
    for (const std::size_t c : order) {
      const bool out =
          finalists_[c].score.images < images_ && std::any_of(rest.begin(), rest.end(), [&](std::size_t s) {
            return (!beyond[s] || beyond[c]) && beats(finalists_[s], finalists_[c]);
          });
      if (!out) rest.push_back(c);
    }
    return rest;
  }

 private:
  /// Deviations of the mean over n images from that over all, as a share of those from the mean of the population.
  double root(std::uint64_t n) const { return std::sqrt(1 - double(n) / double(images_)); }

  bool is_beyond(const Score& score) const {
    if (accuracy_drop(score) <= max_acc_drop_) return false;
    return score.images == images_ || drop_statistic(score, max_acc_drop_) > limit_deviate * root(score.images);
  }

  /// The images of c are not more than those of s, and not all.
  bool beats(const Finalist& s, const Finalist& c) const {
    const std::uint64_t n = c.score.images, records = c.record_rewards.size(), degrees = (records - 1) / 2 * 2;
    if (records < 3) return false;
    const Difference difference = reward_difference(s.record_rewards, c.record_rewards, n);
    return difference.mean > 0 && student_t_tail(difference.mean / (difference.error * root(n)), degrees) <= level_;
  }

  std::span<const Finalist> finalists_;
  std::uint64_t images_;
  double max_acc_drop_, level_ = 0;
};

}  // namespace

Heat next_heat(std::span<const Finalist> finalists, std::uint64_t images, double max_acc_drop) {
  std::vector<std::size_t> racing = Race(finalists, images, max_acc_drop).rest();
  Heat heat{{}, images, images};
  for (const std::size_t f : racing) heat.begin = std::min(heat.begin, finalists[f].score.images);
  if (heat.begin == images) return heat;
  for (const std::size_t f : racing)
    if (finalists[f].score.images == heat.begin) heat.finalists.push_back(f);
  std::sort(heat.finalists.begin(), heat.finalists.end());
  for (const std::uint64_t look : race_looks)
    if (look > heat.begin) heat.end = std::min(heat.end, look);
  return heat;
}

Heat next_heat_of_all(std::span<const Finalist> finalists, std::uint64_t images) {
  Heat heat{{}, finalists.front().score.images, images};
  heat.end = std::min(images, heat.begin + images_of_heat);
  if (heat.begin == images) return heat;
  heat.finalists.resize(finalists.size());
  std::iota(heat.finalists.begin(), heat.finalists.end(), std::size_t{0});
  return heat;
}

}  // namespace triseg
