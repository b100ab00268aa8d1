// The end of a search: its finalists are scored and one is selected, on validation; then the test split is reported.
#include "runner/search.hpp"

#include "core/text.hpp"
#include "learner/judging/pareto.hpp"
#include "learner/judging/race.hpp"
#include "learner/judging/selection.hpp"
#include "learner/strategies/starts.hpp"
#include "runner/display/progress.hpp"
#include "runner/stopwatch.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <numeric>
#include <span>
#include <utility>

namespace triseg {
namespace {

using Clock = std::chrono::steady_clock;

/// Images of the test split between two looks at whether the search is to stop: whole records.
constexpr std::size_t report_images = 8 * split_batch;

}  // namespace

bool Search::score_finalists() {
  Stopwatch watch(seconds_.final_scoring);
  std::vector<Candidate> finalists;
  for (std::size_t i : best_episodes(data_.episodes, data_.updates, options_.selection.top_k))
    finalists.push_back({"episode", i, data_.episodes[i].reward, {}, data_.episodes[i].codes});
  const std::size_t episodes = finalists.size();
  for (auto& codes : strategy_->incumbents()) finalists.push_back({"policy", 0, 0, {}, std::move(codes)});
  // With a searched tmax only starts that keep a share that was asked for.
  for (const auto& codes : branch_starts_) finalists.push_back({"start", 0, 0, {}, codes});
  if (start_) finalists.push_back({"start", 0, 0, {}, reference_});
  if (branch_starts_.empty())
    for (Start& start : analytic_starts(problem_, data_.sites))
      finalists.push_back({start.name, 0, 0, {}, std::move(start.codes)});

  const std::size_t images = data_set_.split_size(Split::validation);
  std::vector<Finalist>& scored = data_.finalists;  // a continued run has some of it already
  if (scored.size() != finalists.size()) scored.assign(finalists.size(), {});
  const auto next = [&] {
    return options_.final_scoring == FinalScoring::race ? next_heat(scored, images, options_.selection.max_acc_drop)
                                                        : next_heat_of_all(scored, images);
  };
  const auto student_images = [&] {
    return std::accumulate(scored.begin(), scored.end(), std::uint64_t{0},
                           [](std::uint64_t sum, const Finalist& f) { return sum + f.score.images; });
  };
  const std::uint64_t most = finalists.size() * images;
  Heat heat = next();
  // As far as can be seen: those that race on may do so to the end.
  const auto total = [&] {
    return student_images() + (heat.finalists.empty() ? 0 : heat.finalists.size() * (images - heat.begin));
  };
  spdlog::info(
      "Scoring {} candidates on {} validation images, {} of {} student images done: {} (--top-k) and {} from "
      "the strategy or among the starts",
      finalists.size(), images, student_images(), most, counted(episodes, "best episode"), finalists.size() - episodes);
  Progress progress("student images", student_images(), total(), options_.output.progress_every);
  auto last_commit = Clock::now();
  while (!heat.finalists.empty()) {
    std::vector<std::vector<Codes>> candidates;
    for (const std::size_t f : heat.finalists) candidates.push_back(finalists[f].codes);
    add_records(scored, heat.finalists, score_records(Split::validation, heat.begin, heat.end, candidates, repair_),
                options_.problem.attention_weight);
    heat = next();
    progress.set_total(total());
    progress.update(student_images(), {counted(candidates.size(), "candidate")});
    if (heat.finalists.empty()) break;
    if (stop_requested() || seconds_since(last_commit) >= options_.output.checkpoint_every) {
      commit();
      last_commit = Clock::now();
    }
    if (stop_requested()) return false;
  }
  if (options_.final_scoring == FinalScoring::race)
    spdlog::info(
        "{} of {} candidates were scored on all images: {:.0f} % of the student images that --final-scoring "
        "all takes",
        std::count_if(scored.begin(), scored.end(), [&](const Finalist& f) { return f.score.images == images; }),
        scored.size(), 100 * double(student_images()) / double(most));
  for (std::size_t i = 0; i < finalists.size(); ++i) {
    finalists[i].validation = scored[i].score;
    finalists[i].record_rewards = scored[i].record_rewards;
    if (finalists[i].origin != "episode")
      finalists[i].reward = reward(finalists[i].validation, options_.problem.attention_weight);
  }
  std::vector<std::size_t> order(finalists.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const Score &of_a = finalists[a].validation, &of_b = finalists[b].validation;
    return of_a.images != of_b.images
               ? of_a.images > of_b.images
               : reward(of_a, options_.problem.attention_weight) > reward(of_b, options_.problem.attention_weight);
  });
  for (std::size_t i : order) data_.top.push_back(std::move(finalists[i]));
  return true;
}

bool Search::report() {
  Stopwatch watch(seconds_.final_scoring);
  const Choice choice = this->choice();
  const std::vector<Codes> mse = site_codes(data_.sites, &SiteData::mse);
  // The students of the report, all on the same batches: none waits for images that another has had.
  std::vector<std::vector<Codes>> candidates = {data_.top[choice.index].codes, mse};
  std::vector<Repair> repairs;
  if (repair_fit_) {
    std::uint64_t not_counted = 0;
    candidates.push_back(mse);
    repairs = {repair_, repair_fit_->fit(mse, not_counted)};
  }
  const std::size_t images = data_set_.split_size(Split::test);
  std::vector<Score> records;
  for (std::size_t begin = 0; begin < images; begin += report_images) {
    if (stop_requested()) {  // the next command reports from the beginning
      data_.top.clear();
      commit();
      return false;
    }
    ScoreRequest request =
        image_range(Split::test, split_batch, begin, std::min(begin + report_images, images), "report");
    request.candidates = candidates;
    request.repairs = repairs;
    if (repair_fit_) request.repair_of = {0, no_repair, 1};
    const std::vector<Score> found = rollout_.score(request);
    records.insert(records.end(), found.begin(), found.end());
  }
  const std::vector<Score> scores = totals_of(records, candidates.size());
  data_.finalists.clear();
  data_.selected.top_index = choice.index;
  data_.selected.within_max_acc_drop = choice.within;
  if (!choice.within)
    data_.selection =
        fmt::format("best validation reward: no candidate met --max-acc-drop {:g}", options_.selection.max_acc_drop);
  if (repair_fit_) data_.selected.repair = layer_repairs(problem_.network(), repair_);
  data_.selected.test = scores[0];
  data_.selected.test_mse = scores[1];
  if (repair_fit_) data_.selected.test_mse_repaired = scores[2];
  data_.finished = true;
  return true;
}

Choice Search::choice() const {
  const std::span rows = std::span(data_.top).first(count_scored_on_all(data_.top));
  if (options_.objective.objective != Objective::coverage) return choose(rows, options_.selection.max_acc_drop);
  std::vector<double> coverage;
  for (const Objectives& o : objectives_of(data_)) coverage.push_back(o.coverage);
  return choose_widest(rows, coverage, options_.selection.max_acc_drop);
}

}  // namespace triseg
