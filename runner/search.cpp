#include "runner/search.hpp"

#include "core/error.hpp"
#include "learner/strategies/branches.hpp"
#include "learner/judging/shares.hpp"
#include "learner/checkpoint.hpp"
#include "learner/files/run_file.hpp"
#include "learner/judging/selection.hpp"
#include "learner/strategies/strategies.hpp"
#include "runner/calibration.hpp"
#include "runner/choose_start.hpp"
#include "runner/display/json_log.hpp"
#include "runner/display/progress.hpp"
#include "runner/ranks/signals.hpp"
#include "runner/stopwatch.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <future>
#include <limits>
#include <set>
#include <span>
#include <utility>

namespace triseg {
namespace {

using Clock = std::chrono::steady_clock;

/// The tensor of a checkpoint that holds the log-probabilities of the last iteration's draws, if that is not learned
/// from: (episodes, sites). It is, by the policy of the checkpoint, when the search goes on.
constexpr const char* unlearned_name = "search/unlearned_log_probability";

/// All candidates of a request under one repair; an empty one is none.
void repair_all(ScoreRequest& request, const Repair& repair) {
  if (repair.empty()) return;
  request.repairs = {repair};
  request.repair_of.assign(request.candidates.size(), 0);
}

void check_finite(const Episode& e, std::size_t row) {
  if (!std::isfinite(e.reward))
    fail(
        "iteration {}, episode {}: the reward is not finite (KD {}, attention {}): expected a teacher, --kd-T and "
        "--attention-weight that "
        "make finite ones",
        e.iteration, row, e.score.mean_kd(), e.score.mean_attention());
}

/// What a strategy has become, before it is committed: it could not go on from anything else.
void check_finite(const Checkpoint& checkpoint) {
  for (const auto& [name, tensor] : checkpoint.tensors)
    if (!std::all_of(tensor.values.begin(), tensor.values.end(), [](float x) { return std::isfinite(x); }))
      fail("iteration {}: the strategy diverged, its {} is not finite: choose smaller rates", checkpoint.next_iteration,
           name);
}

void check_finite(const Update& u) {
  for (const double x : {u.policy_loss, u.value_loss, u.entropy, u.approx_kl, u.clip_fraction})
    if (!std::isfinite(x))
      fail(
          "iteration {}: the strategy diverged (policy loss {}, value loss {}, entropy {}): choose smaller rates, --lr "
          "first",
          u.iteration, u.policy_loss, u.value_loss, u.entropy);
}

}  // namespace

Search::Search(const SearchOptions& options, const Problem& problem, const DataSet& data_set, Rollout& rollout,
               RunData data, std::filesystem::path run_file, std::shared_ptr<const GivenStart> start,
               GradientMaker gradients)
    : options_(options),
      problem_(problem),
      data_set_(data_set),
      rollout_(rollout),
      data_(std::move(data)),
      run_file_(std::move(run_file)),
      start_(std::move(start)),
      gradients_(std::move(gradients)),
      image_order_(data_set.split_size(Split::search), options.iteration.batch_size, options.iteration.seed) {}

int Search::run(const Pause* pause) {
  prepare();
  const std::uint64_t pause_at = pause ? pause->episodes : data_.episodes_total;
  commit();
  auto last_commit = Clock::now();
  double best = best_gain(data_.updates);
  Progress progress("episodes", data_.episodes.size(), data_.episodes_total, options_.output.progress_every,
                    "final scoring");
  const RankTimes begun = rank_times();
  while (!search_done() && data_.episodes.size() < pause_at && !stop_requested()) {
    const RankTimes before = rank_times();
    iterate();
    best = std::max(best, best_gain(std::span(data_.updates).last(1)));
    const RankTimes now = rank_times();
    progress.update(data_.episodes.size(), facts(best, rank_use(begun, now)));
    log_iteration(rank_use(before, now));
    if (seconds_since(last_commit) >= options_.output.checkpoint_every) {
      commit();
      last_commit = Clock::now();
    }
  }
  if (stop_requested()) {
    commit();
    return exit_resumable;
  }
  if (search_done() && unlearned_ > 0) {
    {
      Stopwatch watch(seconds_.learner);
      learn();
    }
    evaluate_if_due(data_.updates.back().iteration);
  }
  commit();
  if (pause) {
    pause->reached(data_.episodes.size(), best_score());
    return search_paused;
  }
  if (!score_finalists() || !report()) return exit_resumable;
  commit();
  return 0;
}

void Search::prepare() {
  for (std::size_t i = 0; i < data_.episodes.size(); ++i) check_finite(data_.episodes[i], i);
  make_strategies();
  show_starts();
  reference_ = site_codes(data_.sites, &SiteData::start);
  data_.episodes_total = strategy_->usable_episodes(options_.episodes);
  if (data_.checkpoint.next_iteration > 0) {
    strategy_->restore(data_.checkpoint);
    restore_unlearned();
  }
  if (options_.repair.mode != RepairMode::none) prepare_repair();
}

void Search::show_starts() const {
  std::size_t name = 0, codes = 0;
  for (const SiteData& site : data_.sites) {
    name = std::max(name, site.name.size());
    codes = std::max(codes, to_string(site.init).size());
  }
  for (const SiteData& site : data_.sites)
    spdlog::info("[init] {:<{}} {:<{}} ({})  [start] {}", site.name + ":", name + 1, to_string(site.init), codes,
                 options_.iteration.tmax.label(), to_string(site.start));
}

void Search::restore_unlearned() {
  if (!data_.checkpoint.tensors.contains(unlearned_name)) return;
  unlearned_ = std::count_if(data_.episodes.begin(), data_.episodes.end(),
                             [&](const Episode& e) { return e.iteration + 1 == data_.checkpoint.next_iteration; });
  if (data_.updates.empty() || data_.updates.back().iteration + 1 != data_.checkpoint.next_iteration)
    fail("checkpoint: iteration {} is neither learned from nor in /updates", data_.checkpoint.next_iteration - 1);
  log_probability_ = stored_values(data_.checkpoint, unlearned_name, {unlearned_, data_.sites.size()});
}

void Search::make_strategies() {
  Stopwatch watch(seconds_.calibration);
  const bool fresh = data_.sites.empty();
  if (fresh) {
    data_.sites = calibrate(rollout_, problem_, options_.iteration);
    if (start_) take_start(data_.sites, *start_);
  }
  std::vector<std::vector<SiteData>*> all{&data_.sites};
  std::vector<Branch> branches;
  if (options_.iteration.tmax.mode == TmaxMode::search) {
    for (const double pass_share : pass_shares()) branches.push_back(make_branch(data_.sites, pass_share));
    for (Branch& branch : branches) all.push_back(&branch.sites);
  }
  for (std::size_t r = 0; r < branches.size(); ++r) {
    std::vector<int> tmax;
    for (const SiteData& site : branches[r].sites) tmax.push_back(site.tmax);
    spdlog::info("[branch {}] at most {:.3f} % of activations may pass; {:.3f} % do at first, with tmax {}", r,
                 100 * branches[r].pass_share,
                 100 * passed_share(branches[r].sites, site_codes(branches[r].sites, &SiteData::init)),
                 fmt::join(tmax, ", "));
  }
  if (fresh && !start_)
    data_.student_images += choose_starts(rollout_, problem_, options_.iteration, options_.strategy.start.warm_start,
                                          options_.problem.attention_weight, all);
  else if (!branches.empty()) restore_starts(data_.checkpoint, branches);
  for (const Branch& branch : branches) branch_starts_.push_back(site_codes(branch.sites, &SiteData::start));
  strategy_ = branches.empty()
                  ? make_strategy(options_.strategy, data_.sites, options_.iteration.seed, gradient_source())
                  : make_branches(options_.strategy, std::move(branches), options_.iteration.seed, gradient_source());
}

GradientSource Search::gradient_source() {
  if (!gradients_) return {};
  auto made = std::make_shared<std::optional<GradientSource>>();
  return {[this, made](std::uint64_t step, std::span<const Codes> codes) {
            if (!*made) *made = gradients_(problem_, data_set_, options_, repair_);
            return (*made)->gradient(step, codes);
          },
          options_.iteration.batch_size};
}

std::vector<double> Search::pass_shares() const {
  if (!options_.objective.pass_shares.empty()) return options_.objective.pass_shares;
  const double calibrated = passed_share(data_.sites, site_codes(data_.sites, &SiteData::init));
  if (options_.objective.objective == Objective::accuracy) return {calibrated};
  std::set<double> shares;
  for (const double factor : default_share_factors) shares.insert(std::min(1.0, factor * calibrated));
  return {shares.begin(), shares.end()};
}

void Search::prepare_repair() {
  Stopwatch watch(seconds_.repair);
  repair_fit_.emplace(rollout_, problem_, options_.repair.mode, options_.repair.images);
  if (auto stored = stored_repair(data_.checkpoint, problem_)) {
    repair_ = std::move(*stored);
    check_repair(problem_.model, repair_);
  } else {
    repair_ = start_ && !start_->repair.empty() ? start_->repair : repair_fit_->fit(reference_, data_.student_images);
    store_repair(data_.checkpoint, problem_, repair_);
  }
}

void Search::iterate() {
  const auto start = Clock::now();
  const std::uint64_t iteration = data_.checkpoint.next_iteration;
  const std::size_t first = data_.episodes.size();
  Draws draws = std::exchange(ahead_, {});
  if (draws.codes.empty()) {
    Stopwatch watch(seconds_.learner);
    draws = draw(first);
  }
  const std::size_t count = draws.codes.size();
  ScoreRequest request{Split::search,
                       options_.iteration.batch_size,
                       image_order_.images(iteration),
                       std::move(draws.codes),
                       {},
                       {},
                       fmt::format("iteration {}", iteration)};
  if (first + count < data_.episodes_total) request.next_images = image_order_.images(iteration + 1);
  request.candidates.push_back(reference_);
  repair_all(request, repair_);
  const bool learned_meanwhile = unlearned_ > 0;
  const std::vector<Score> scores = score_iteration(request, count);

  Update update;
  update.iteration = iteration;
  update.pass_share = passed_share(data_.sites, reference_);
  update.reference_reward = reward(scores.back(), options_.problem.attention_weight);
  update.best_reward = -std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < count; ++i) {
    Episode episode{iteration, reward(scores[i], options_.problem.attention_weight), scores[i], request.candidates[i]};
    check_finite(episode, first + i);
    update.mean_reward += episode.reward / double(count);
    update.best_reward = std::max(update.best_reward, episode.reward);
    data_.episodes.push_back(std::move(episode));
  }
  data_.updates.push_back(update);
  data_.student_images += (count + 1) * options_.iteration.batch_size + draws.student_images;
  ++data_.checkpoint.next_iteration;
  unlearned_ = count;
  log_probability_ = std::move(draws.log_probability);
  if (options_.strategy.ppo.lag == 0) {
    Stopwatch watch(seconds_.learner);
    learn();
  }
  data_.updates.back().iteration_seconds = seconds_since(start);
  if (learned_meanwhile) evaluate_if_due(iteration - 1);
  if (unlearned_ == 0) evaluate_if_due(iteration);
}

Draws Search::draw(std::uint64_t first_episode) {
  const std::uint64_t left = data_.episodes_total - first_episode;
  const std::uint64_t each = episodes_of(options_.strategy.kind, options_.iteration.episodes_per_update);
  const std::size_t count = std::min(each, left);
  return count > 0 ? strategy_->propose(first_episode, count) : Draws{};
}

std::vector<Score> Search::score_iteration(const ScoreRequest& request, std::size_t count) {
  std::future<void> learner;
  if (options_.strategy.ppo.lag > 0)
    learner = std::async([&] {  // on this thread, afterwards, where no other can be started
      learn();
      ahead_ = draw(data_.episodes.size() + count);
    });
  std::vector<Score> scores;
  {
    Stopwatch watch(seconds_.scoring);
    scores = rollout_.score_iteration(request);
  }
  if (const auto line = rollout_.news()) spdlog::info(*line);
  Stopwatch watch(seconds_.learner);
  if (learner.valid()) learner.get();
  return scores;
}

void Search::learn() {
  if (unlearned_ == 0) return;
  Update& update = data_.updates.back();
  {
    Stopwatch watch(update.update_seconds);
    strategy_->learn(std::span(data_.episodes).last(unlearned_), log_probability_, update);
  }
  check_finite(update);
  unlearned_ = 0;
}

void Search::evaluate_if_due(std::uint64_t iteration) {
  if (options_.objective.eval_every > 0 && (iteration + 1) % options_.objective.eval_every == 0)
    evaluate_most_probable(iteration);
}

void Search::evaluate_most_probable(std::uint64_t iteration) {
  Stopwatch watch(seconds_.scoring);
  const auto incumbents = strategy_->incumbents();  // one a branch: they take turns
  if (incumbents.empty()) return;
  Evaluation evaluation{iteration, {}, incumbents[data_.evaluations.size() % incumbents.size()]};
  evaluation.validation = first_scores({evaluation.codes}).front();
  data_.student_images += evaluation.validation.images;
  data_.evaluations.push_back(std::move(evaluation));
}

std::vector<Score> Search::first_scores(const std::vector<std::vector<Codes>>& candidates) {
  const std::size_t images = std::min(evaluation_images, data_set_.split_size(Split::validation));
  return totals_of(score_records(Split::validation, 0, images, candidates, repair_), candidates.size());
}

Score Search::best_score() {
  Stopwatch watch(seconds_.scoring);
  std::vector<std::vector<Codes>> candidates = strategy_->incumbents();
  if (candidates.empty())
    for (const std::size_t i : best_episodes(data_.episodes, data_.updates, 1))
      candidates.push_back(data_.episodes[i].codes);
  if (candidates.empty()) candidates.push_back(reference_);
  const std::vector<Score> scores = first_scores(candidates);
  return *std::min_element(scores.begin(), scores.end(),
                           [](const Score& a, const Score& b) { return a.mean_kd() < b.mean_kd(); });
}

std::vector<Score> Search::score_records(Split split, std::size_t begin, std::size_t end,
                                         const std::vector<std::vector<Codes>>& candidates, const Repair& repair) {
  ScoreRequest request =
      image_range(split, split_batch, begin, end, fmt::format("scoring on the {} split", split_name(split)));
  request.candidates = candidates;
  repair_all(request, repair);
  return rollout_.score(request);
}

RankTimes Search::rank_times() const { return {Clock::now(), rollout_.busy_seconds(), seconds_.learner}; }

std::vector<std::string> Search::facts(double best, const RankUse& use) const {
  const Update& update = data_.updates.back();
  std::vector<std::string> facts{fmt::format("gain {:+.4f}", update.mean_reward - update.reference_reward),
                                 fmt::format("best {:+.4f}", best)};
  if (!data_.evaluations.empty())
    facts.push_back(fmt::format("validation KD {:.4f}", data_.evaluations.back().validation.mean_kd()));
  facts.push_back(use.text());
  return facts;
}

void Search::log_iteration(const RankUse& use) const {
  const Update& u = data_.updates.back();
  std::vector<std::pair<std::string_view, EventValue>> fields = {{"iteration", u.iteration},
                                                                 {"episodes", std::uint64_t{data_.episodes.size()}},
                                                                 {"episodes_total", data_.episodes_total},
                                                                 {"mean_reward", u.mean_reward},
                                                                 {"best_reward", u.best_reward},
                                                                 {"reference_reward", u.reference_reward},
                                                                 {"seconds", u.iteration_seconds},
                                                                 {"rank_use", use.mean},
                                                                 {"least_rank_use", use.least}};
  if (!data_.evaluations.empty() && data_.evaluations.back().iteration == u.iteration)
    fields.emplace_back("validation_kd", data_.evaluations.back().validation.mean_kd());
  log_event("iteration", fields);
}

bool Search::stop_requested() const {
  const double limit = options_.output.time_limit;
  return rollout_.stop_requested() || (limit > 0 && seconds_since(begun_) >= limit);
}

void Search::commit() {
  Stopwatch watch(seconds_.files);
  strategy_->save(data_.checkpoint);
  if (unlearned_ == 0) data_.checkpoint.tensors.erase(unlearned_name);
  else data_.checkpoint.tensors[unlearned_name] = {{unlearned_, data_.sites.size()}, log_probability_};
  check_finite(data_.checkpoint);
  write_run(run_file_, data_);
}

}  // namespace triseg
