#include "runner/search.hpp"

#include "learner/image_order.hpp"
#include "learner/run_file.hpp"
#include "learner/selection.hpp"
#include "learner/strategies.hpp"
#include "runner/calibration.hpp"
#include "runner/progress.hpp"
#include "runner/signals.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <numeric>

namespace triseg {
namespace {

/// Validation images between two looks for a stop signal, a multiple of split_batch.
constexpr std::size_t images_between_stops = 16 * split_batch;
/// Validation images of an evaluation during the search.
constexpr std::size_t evaluation_images = 1000;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// Adds the seconds of its lifetime to a sum.
class Stopwatch {
 public:
  explicit Stopwatch(double& seconds) : seconds_(seconds) {}
  ~Stopwatch() { seconds_ += seconds_since(start_); }

 private:
  double& seconds_;
  Clock::time_point start_ = Clock::now();
};

}  // namespace

Search::Search(const SearchOptions& options, const QuantizedNetwork& model, const DataSet& data_set, Rollout& rollout,
               RunData data, std::filesystem::path run_file)
    : options_(options), model_(model), data_set_(data_set), rollout_(rollout), data_(std::move(data)),
      run_file_(std::move(run_file)) {}

int Search::run() {
  prepare();
  commit();
  auto last_commit = Clock::now();
  double best = -std::numeric_limits<double>::infinity();
  for (const Episode& e : data_.episodes) best = std::max(best, e.reward);
  Progress progress("episodes", data_.episodes.size(), data_.episodes_total, options_.progress_every);
  while (!search_done() && !rollout_.stop_requested()) {
    iterate();
    best = std::max(best, data_.updates.back().best_reward);
    progress.update(data_.episodes.size(), fmt::format("mean reward {:.5f}, best {:.5f}", data_.updates.back().mean_reward, best));
    if (seconds_since(last_commit) >= options_.checkpoint_every) {
      commit();
      last_commit = Clock::now();
    }
  }
  if (rollout_.stop_requested()) {
    commit();
    return exit_resumable;
  }
  commit();
  if (!score_finalists()) return exit_resumable;
  report();
  commit();
  return 0;
}

void Search::prepare() {
  if (data_.sites.empty()) {
    Stopwatch watch(seconds_.calibration);
    data_.sites = calibrate(rollout_, model_, options_.calib_batches, options_.batch_size, options_.tmax);
  }
  for (const SiteData& site : data_.sites)
    spdlog::info("[init] {}: {} ({})", site.name, to_string(site.init), options_.tmax.label());
  if (options_.ppo.warm_start == WarmStart::mse)
    for (const SiteData& site : data_.sites) spdlog::info("[mse] {}: {}", site.name, to_string(site.mse));
  reference_ = site_codes(options_.ppo.warm_start == WarmStart::mse ? &SiteData::mse : &SiteData::init);
  strategy_ = make_strategy(options_.strategy, data_.sites, options_.ppo, options_.seed);
  data_.episodes_total = strategy_->usable_episodes(options_.episodes);
  if (data_.checkpoint.next_iteration > 0) strategy_->restore(data_.checkpoint);
}

void Search::iterate() {
  double iteration_seconds = 0;
  Update update;
  {
    Stopwatch whole(iteration_seconds);
    const std::uint64_t first = data_.episodes.size();
    const std::size_t count = std::min<std::uint64_t>(options_.episodes_per_update, data_.episodes_total - first);
    update.iteration = data_.checkpoint.next_iteration;
    ScoreRequest request{Split::search, options_.batch_size,
                         iteration_images(data_set_.split_size(Split::search), options_.batch_size, options_.seed, update.iteration),
                         {}, fmt::format("iteration {}", update.iteration)};
    {
      Stopwatch watch(seconds_.learner);
      request.candidates = strategy_->propose(first, count);
    }
    request.candidates.push_back(reference_);
    std::vector<Score> scores;
    {
      Stopwatch watch(seconds_.scoring);
      scores = rollout_.score(request);
    }
    update.reference_reward = reward(scores.back(), options_.attention_weight);
    update.best_reward = -std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < count; ++i) {
      Episode episode{update.iteration, reward(scores[i], options_.attention_weight), scores[i], request.candidates[i]};
      update.mean_reward += episode.reward / double(count);
      update.best_reward = std::max(update.best_reward, episode.reward);
      data_.episodes.push_back(std::move(episode));
    }
    data_.student_images += (count + 1) * options_.batch_size;
    Stopwatch watch(seconds_.learner), update_watch(update.update_seconds);
    strategy_->learn(std::span(data_.episodes).last(count), update);
  }
  update.iteration_seconds = iteration_seconds;
  data_.updates.push_back(update);
  ++data_.checkpoint.next_iteration;
  if (options_.eval_every > 0 && (update.iteration + 1) % options_.eval_every == 0) evaluate_most_probable(update.iteration);
}

void Search::evaluate_most_probable(std::uint64_t iteration) {
  Stopwatch watch(seconds_.scoring);
  Evaluation evaluation{iteration, {}, strategy_->most_probable()};
  const std::size_t images = std::min(evaluation_images, data_set_.split_size(Split::validation));
  std::vector<Score> totals(1);
  score_images(Split::validation, 0, images, {evaluation.codes}, totals);
  evaluation.validation = totals.front();
  data_.student_images += images;
  data_.evaluations.push_back(std::move(evaluation));
}

bool Search::score_finalists() {
  Stopwatch watch(seconds_.final_scoring);
  std::vector<Candidate> finalists;
  for (std::size_t i : best_episodes(data_.episodes, data_.updates, options_.top_k))
    finalists.push_back({"episode", i, data_.episodes[i].reward, {}, data_.episodes[i].codes});
  if (!data_.episodes.empty()) finalists.push_back({"policy", 0, 0, {}, strategy_->most_probable()});
  finalists.push_back({"mse", 0, 0, {}, site_codes(&SiteData::mse)});
  finalists.push_back({"init", 0, 0, {}, site_codes(&SiteData::init)});

  std::vector<std::vector<Codes>> candidates;
  for (const Candidate& c : finalists) candidates.push_back(c.codes);
  const std::size_t images = data_set_.split_size(Split::validation);
  std::vector<Finalist>& scored = data_.finalists;  // a continued run has some of it already
  if (scored.size() != candidates.size()) scored.assign(candidates.size(), {});
  const std::uint64_t& done = scored.front().score.images;
  spdlog::info("Scoring {} candidates on {} validation images, {} of them done", candidates.size(), images, done);
  Progress progress("validation images", done, images, options_.progress_every);
  auto last_commit = Clock::now();
  while (done < images) {
    const std::size_t end = std::min<std::size_t>(done + images_between_stops, images);
    add_records(scored, score_records(Split::validation, done, end, candidates), options_.attention_weight);
    progress.update(done, fmt::format("{} candidates", candidates.size()));
    if (done == images) break;
    if (rollout_.stop_requested() || seconds_since(last_commit) >= options_.checkpoint_every) {
      commit();
      last_commit = Clock::now();
    }
    if (rollout_.stop_requested()) return false;
  }
  for (std::size_t i = 0; i < finalists.size(); ++i) {
    finalists[i].validation = scored[i].score;
    finalists[i].record_rewards = std::move(scored[i].record_rewards);
    if (finalists[i].origin != "episode") finalists[i].reward = reward(finalists[i].validation, options_.attention_weight);
  }
  std::stable_sort(finalists.begin(), finalists.end(), [&](const Candidate& a, const Candidate& b) {
    return reward(a.validation, options_.attention_weight) > reward(b.validation, options_.attention_weight);
  });
  data_.top = std::move(finalists);
  data_.finalists.clear();
  return true;
}

void Search::report() {
  Stopwatch watch(seconds_.final_scoring);
  const Choice choice = choose(data_.top, options_.max_acc_drop);
  data_.selected.top_index = choice.index;
  data_.selected.within_max_acc_drop = choice.within;
  if (!choice.within)
    data_.selection = fmt::format("best validation reward: no candidate met --max-acc-drop {:g}", options_.max_acc_drop);
  std::vector<Score> totals(2);
  score_images(Split::test, 0, data_set_.split_size(Split::test), {data_.top[choice.index].codes, site_codes(&SiteData::mse)},
               totals);
  data_.selected.test = totals[0];
  data_.selected.test_mse = totals[1];
  data_.finished = true;
}

std::vector<Score> Search::score_records(Split split, std::size_t begin, std::size_t end,
                                         const std::vector<std::vector<Codes>>& candidates) {
  ScoreRequest request{split, split_batch, std::vector<std::uint32_t>(end - begin), candidates,
                       fmt::format("scoring on the {} split", split_name(split))};
  std::iota(request.images.begin(), request.images.end(), static_cast<std::uint32_t>(begin));
  return rollout_.score(request);
}

void Search::score_images(Split split, std::size_t begin, std::size_t end, const std::vector<std::vector<Codes>>& candidates,
                          std::vector<Score>& totals) {
  const auto records = score_records(split, begin, end, candidates);
  for (std::size_t i = 0; i < records.size(); ++i) totals[i % candidates.size()] += records[i];
}

void Search::commit() {
  Stopwatch watch(seconds_.files);
  strategy_->save(data_.checkpoint);
  write_run(run_file_, data_);
}

std::vector<Codes> Search::site_codes(Codes SiteData::*which) const {
  std::vector<Codes> codes;
  for (const SiteData& site : data_.sites) codes.push_back(site.*which);
  return codes;
}

}  // namespace triseg
