// Which codes are re-scored at the end of a search, and which of them is chosen.
#pragma once

#include "learner/run_data.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace triseg {

/// Indices of the `k` best episodes with distinct codes, best first; of equal ones the earlier. Images differ between
/// iterations, so an episode counts by its gain: its reward less that of the reference codes on the same images.
/// Rewards of different branches (Update::branch) do not compare: each of them gives its k / branches best, at least
/// one.
std::vector<std::size_t> best_episodes(std::span<const Episode> episodes, std::span<const Update> updates,
                                       std::size_t k);

/// The largest gain of an episode; -infinity before the first.
double best_gain(std::span<const Update> updates);

/// -(mean KD + attention_weight * mean attention distance).
double reward(const Score& score, double attention_weight);

/// Accuracy of the teacher less that of the student [percentage points].
double accuracy_drop(const Score& score);

/// Adds records of validation images to the scores of some finalists, `which`: all of these on one record, then all on
/// the next.
void add_records(std::vector<Finalist>& finalists, std::span<const std::size_t> which, std::span<const Score> records,
                 double attention_weight);

/// The mean over images of a paired difference, its standard error, and how many records that is from.
struct Difference {
  double mean = 0;
  double error = 0;
  std::size_t records = 0;
};

/// Half the width of its 95 % interval: the error times the quantile of Student's t with a degree of freedom less than
/// there are records. Not a number for fewer than two.
double half_width_95(const Difference& difference);

/// Reward of `a` less that of `b`, from sums over the same records of split_batch images, `images` in all. Both saw the
/// same images, so what makes an image hard for both cancels. Records are the units: with d their differences, n their
/// images and D the mean, the error squared is R / (R - 1) sum (d - n D)^2 / images^2 (the ratio estimator of Cochran,
/// Sampling Techniques, 3rd ed. 1977, 6.3); 0 for fewer than two records. Records of only one of them are passed over.
Difference reward_difference(std::span<const double> a, std::span<const double> b, std::uint64_t images);

/// True if the difference is no more than 1.96 of its standard errors below zero.
bool within_error(const Difference& difference);

/// How many candidates, the first ones, were scored on as many images as the first: on all. The others were not
/// selected, whatever their rewards.
std::size_t count_scored_on_all(std::span<const Candidate> candidates);

/// How many candidates, the first included, are within_error of the first one's validation reward, each on the images
/// that it was scored on.
std::size_t count_within_error(std::span<const Candidate> candidates);

/// What the test split says other than validation, on which the candidate was chosen: test less validation.
struct Gap {
  double kd = 0;  ///< [nats]
  double reward = 0;
  double student_accuracy = 0;  ///< [percentage points]
  double accuracy_drop = 0;     ///< [percentage points]
};
Gap validation_gap(const Score& validation, const Score& test, double attention_weight);

struct Choice {
  std::size_t index = 0;
  bool within = false;  ///< its drop is at most max_acc_drop
};

/// Choice among candidates scored on the same images and sorted by reward, best first: the first whose accuracy drop is
/// at most `max_acc_drop` [percentage points], else the first.
Choice choose(std::span<const Candidate> candidates, double max_acc_drop);

/// The same, but of those within `max_acc_drop` the one of the largest coverage (candidates), of equal ones the first.
Choice choose_widest(std::span<const Candidate> candidates, std::span<const double> coverage, double max_acc_drop);

}  // namespace triseg
