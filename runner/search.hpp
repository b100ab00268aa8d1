// The search loop: wires calibration, strategy, rollout, selection and the run file. Each of them is elsewhere.
#pragma once

#include "data/dataset.hpp"
#include "learner/image_order.hpp"
#include "learner/run_data.hpp"
#include "learner/judging/selection.hpp"
#include "learner/strategies/ste.hpp"
#include "learner/strategies/strategy.hpp"
#include "runner/given_start.hpp"
#include "runner/display/rank_use.hpp"
#include "runner/repair_fit.hpp"
#include "runner/ranks/rollout.hpp"
#include "runner/options/search_options.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace triseg {

/// What the parts of a search cost [s]; learner: what is not hidden behind scoring.
struct SearchSeconds {
  double calibration = 0, repair = 0, scoring = 0, learner = 0, files = 0, final_scoring = 0;
};

/// Validation images, the first, that codes are scored on while the search goes on.
inline constexpr std::size_t evaluation_images = 1000;

/// Where a search pauses: after the first iteration that brings it to so many episodes or more.
struct Pause {
  std::uint64_t episodes = 0;
  /// Called there, after a commit, with the episodes scored and the best student's score on the first
  /// evaluation_images validation images: of the strategy's incumbents that of the least KD, or, where it has none, the
  /// best episode, or else the start. It leaves no trace in the run.
  std::function<void(std::uint64_t episodes, const Score& validation)> reached;
};

/// Makes what computes gradients of codes for --strategy ste, of students with this repair.
using GradientMaker =
    std::function<GradientSource(const Problem&, const DataSet&, const SearchOptions&, const Repair&)>;

/// What Search::run returns of a search that has paused; no exit code.
inline constexpr int search_paused = -1;

/// One search on the learner rank. Everything it knows is in `data`, so a commit is write_run(data).
class Search {
 public:
  /// `data` is that of a new run (its identity filled in, no sites yet) or of one to continue. start: where a new one
  /// begins; null: as the options say. gradients: empty but for --strategy ste.
  Search(const SearchOptions& options, const Problem& problem, const DataSet& data_set, Rollout& rollout, RunData data,
         std::filesystem::path run_file, std::shared_ptr<const GivenStart> start = nullptr,
         GradientMaker gradients = {});

  /// To the end, to a stop signal, or to the pause, if not null: 0 if finished, exit_resumable if stopped after a
  /// commit, search_paused. A search whose episodes end before the pause pauses there.
  int run(const Pause* pause = nullptr);

  const RunData& data() const { return data_; }
  const SearchSeconds& seconds() const { return seconds_; }

 private:
  void prepare();
  void show_starts() const;
  /// What ranks have done so far.
  RankTimes rank_times() const;
  /// What progress shows: gain of the last iteration, best gain so far, KD of the last evaluation, use of the ranks.
  std::vector<std::string> facts(double best, const RankUse& use) const;
  void log_iteration(const RankUse& use) const;
  /// What the checkpoint holds of an iteration that is scored and not learned from.
  void restore_unlearned();
  /// The strategy, and its starts unless the checkpoint has them: of the sites, or with a searched tmax of several sets
  /// of them.
  void make_strategies();
  /// Shares of the sites' activations that may pass, a search each.
  std::vector<double> pass_shares() const;
  void prepare_repair();
  /// Gradients under the search's repair, made at the first step; none without a maker of them.
  GradientSource gradient_source();
  /// Draws an iteration, scores it and learns from it; with --lag 1, from the one before, while it is scored.
  void iterate();
  /// The draws of the iteration that begins at an episode; none at the end of the budget.
  Draws draw(std::uint64_t first_episode);
  /// The scores of the request, of `count` episodes and the reference. With --lag 1 another thread learns meanwhile
  /// from the iteration before and draws the next.
  std::vector<Score> score_iteration(const ScoreRequest& request, std::size_t count);
  /// Learns from the last iteration, unless that is done.
  void learn();
  /// After an iteration has been learned from.
  void evaluate_if_due(std::uint64_t iteration);
  void evaluate_most_probable(std::uint64_t iteration);
  /// Their scores on the first evaluation_images validation images: (candidates).
  std::vector<Score> first_scores(const std::vector<std::vector<Codes>>& candidates);
  /// What Pause::reached gets.
  Score best_score();
  /// Scores the candidates for the selection on the validation split, into /top; false if it was stopped on the way.
  /// It, choice() and report() are in final_scoring.cpp.
  bool score_finalists();
  /// The row of /top that --objective selects.
  Choice choice() const;
  /// Selects and scores on the test split; false if it was stopped on the way, which leaves the finalists as they were.
  bool report();
  void commit();
  /// The records of images begin .. end - 1 of a split, split_batch images each: all candidates on one, then all on the
  /// next. repair: of all candidates; empty: none.
  std::vector<Score> score_records(Split split, std::size_t begin, std::size_t end,
                                   const std::vector<std::vector<Codes>>& candidates, const Repair& repair);
  /// True once a signal has come, or the time is up.
  bool stop_requested() const;
  bool search_done() const { return data_.episodes.size() >= data_.episodes_total; }

  SearchOptions options_;
  const Problem& problem_;
  const DataSet& data_set_;
  Rollout& rollout_;
  RunData data_;
  std::filesystem::path run_file_;
  std::shared_ptr<const GivenStart> start_;
  GradientMaker gradients_;
  ImageOrder image_order_;
  std::unique_ptr<Strategy> strategy_;
  std::vector<std::vector<Codes>> branch_starts_;  ///< (branches)(sites); none unless tmax is searched
  std::vector<Codes> reference_;                   ///< (sites): what every iteration's rewards are compared with
  std::optional<RepairFit> repair_fit_;            ///< nothing: students keep the model's requantization
  Repair repair_;              ///< of all students of the search, fitted around the reference; empty without a repair
  std::size_t unlearned_ = 0;  ///< the last episodes, scored and not learned from
  std::vector<float> log_probability_;  ///< of them (Draws)
  Draws ahead_;                         ///< of the next iteration, where they are made
  SearchSeconds seconds_;
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};

}  // namespace triseg
