// The work of all ranks: the learner sends a request, every rank scores its share, the records come back in order.
#pragma once

#include "core/histogram.hpp"
#include "runner/ranks/transport.hpp"
#include "runner/ranks/wire.hpp"
#include "worker/scorer.hpp"

#include <utility>
#include <vector>

namespace triseg {

/// Joins a transport and a scorer. Rank 0 calls score, moments, histograms and at last finish; the other ranks call
/// serve.
class Rollout {
 public:
  /// dedicated_learner: rank 0 takes no share of the work, unless it is the only rank.
  Rollout(Transport& transport, Scorer& scorer, bool dedicated_learner)
      : transport_(transport), scorer_(scorer), idle_ranks_(dedicated_learner && transport.size() > 1 ? 1 : 0) {}

  /// One record per item of the request, in item order, whatever the number of ranks. Rank 0 only.
  std::vector<Score> score(const ScoreRequest& request);

  /// Moments of every candidate's accumulators over the whole request (Scorer::moments): (candidates, channels of all
  /// layers). Sums of integers: the same for any number of ranks. Rank 0 only.
  std::vector<Moments> moments(const ScoreRequest& request);

  /// Per site, the histogram of the first candidate's codes before the staircase over the whole request. Rank 0 only.
  std::vector<Histogram> histograms(const ScoreRequest& request);

  /// True once any rank has been asked to stop (runner/ranks/signals.hpp); told with the records of every request.
  bool stop_requested() const { return stop_requested_; }

  /// Ends serve on the other ranks, which return `exit_code`. Rank 0 only.
  void finish(int exit_code);

  /// Answers requests until finish; returns its exit code. Every rank but 0.
  int serve();

 private:
  /// First and number of the items that a rank scores, or batches that it counts.
  std::pair<std::size_t, std::size_t> share_of(std::size_t rank, Task task, const ScoreRequest& request) const;
  /// This rank's share of the work, as bytes.
  std::vector<std::byte> answer(Task task, const ScoreRequest& request);
  /// Gives the order to all ranks and takes part: (ranks). Rank 0 only.
  std::vector<std::vector<std::byte>> answers(Task task, const ScoreRequest& request);
  /// What every rank has a total of, T, summed over the ranks.
  template <class T>
  std::vector<T> totals(Task task, const ScoreRequest& request);

  Transport& transport_;
  Scorer& scorer_;
  std::size_t idle_ranks_;  ///< the first ranks that score nothing: 0 or 1
  bool stop_requested_ = false;
};

}  // namespace triseg
