// The work of all ranks: the learner sends a request, every rank scores its share, the records come back in order.
#pragma once

#include "core/histogram.hpp"
#include "runner/ranks/transport.hpp"
#include "runner/ranks/wire.hpp"
#include "runner/ranks/working_ranks.hpp"
#include "worker/scorer.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace triseg {

/// Joins a transport and a scorer. Rank 0 calls score, score_iteration, moments, histograms and at last finish; the
/// other ranks call serve.
class Rollout {
 public:
  /// dedicated_learner: rank 0 takes no share of the work, unless it is the only rank.
  Rollout(Transport& transport, Scorer& scorer, bool dedicated_learner)
      : transport_(transport),
        scorer_(scorer),
        idle_ranks_(dedicated_learner && transport.size() > 1 ? 1 : 0),
        working_ranks_(transport.size() - idle_ranks_),
        busy_seconds_(transport.size()) {}

  /// One record per item of the request, in item order, whatever the number of ranks. Rank 0 only.
  std::vector<Score> score(const ScoreRequest& request);

  /// The same of a request that comes again and again in one size. It finds out how many ranks are the fastest
  /// (working_ranks.hpp); from then on the others idle, in other requests, too, as far as those are no larger.
  std::vector<Score> score_iteration(const ScoreRequest& request);

  /// How many ranks score an iteration.
  std::size_t working_ranks() const { return working_ranks_.chosen(); }
  /// A line for the log, once it has been found that some ranks idle.
  std::optional<std::string> news() { return working_ranks_.news(); }

  /// Moments of every candidate's accumulators over the whole request (Scorer::moments): (candidates, channels of all
  /// convolutions). Sums of integers: the same for any number of ranks. Rank 0 only.
  std::vector<Moments> moments(const ScoreRequest& request);

  /// Per site, the histogram of the first candidate's codes before the staircase over the whole request. Rank 0 only.
  std::vector<Histogram> histograms(const ScoreRequest& request);

  /// True once any rank has been asked to stop (runner/ranks/signals.hpp); told with the records of every request.
  bool stop_requested() const { return stop_requested_; }

  /// How long each rank has worked on requests so far, not counting what it waited for others: (ranks).
  const std::vector<double>& busy_seconds() const { return busy_seconds_; }

  /// Ends serve on the other ranks, which return `exit_code`. Rank 0 only.
  void finish(int exit_code);

  /// Answers requests until finish; returns its exit code. Every rank but 0.
  int serve();

 private:
  /// What is shared: items that are scored, or batches that are counted.
  static std::size_t units(Task task, const ScoreRequest& request);
  /// First and number of a rank's units, where the first `working` ranks that do not idle always share them.
  std::pair<std::size_t, std::size_t> share_of(std::size_t rank, std::size_t units, std::size_t working) const;
  /// This rank's share of the work, as bytes.
  std::vector<std::byte> answer(Task task, const ScoreRequest& request, std::size_t working);
  /// Gives the order to all ranks and takes part: (ranks). Rank 0 only.
  std::vector<std::vector<std::byte>> answers(Task task, const ScoreRequest& request, std::size_t working);
  /// What a rank's answer says beside its records.
  void note(std::size_t rank, bool stop, double seconds);
  std::vector<Score> score_with(const ScoreRequest& request, std::size_t working);
  /// What every rank has a total of, T, summed over the ranks.
  template <class T>
  std::vector<T> totals(Task task, const ScoreRequest& request);

  Transport& transport_;
  Scorer& scorer_;
  std::size_t idle_ranks_;  ///< the first ranks that score nothing: 0 or 1
  WorkingRanks working_ranks_;
  std::vector<double> busy_seconds_;  ///< (ranks)
  bool stop_requested_ = false;
};

}  // namespace triseg
