// triseg verify: scores what a run file holds again, from the codes, the teacher and the images, and compares bit by
// bit; then checks the file as `triseg validate` does, and so what follows from its stored fields. What the learner
// alone computes (losses, entropy, checkpoint) is not done again.
#include "core/error.hpp"
#include "core/text.hpp"
#include "learner/files/run_file.hpp"
#include "learner/judging/selection.hpp"
#include "learner/strategies/initial_codes.hpp"
#include "runner/analysis/stored_run.hpp"
#include "runner/commands/commands.hpp"
#include "runner/cli/help.hpp"
#include "runner/cli/declare_options.hpp"
#include "runner/cli/option_checks.hpp"
#include "runner/ranks/signals.hpp"

#include <CLI/CLI.hpp>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <memory>
#include <numeric>
#include <set>
#include <string>
#include <vector>

namespace triseg {
namespace {

struct VerifyOptions {
  StoredRunOptions stored;
  std::uint64_t episodes = 640;
  bool all = false;
};

/// A field that a new measurement gives another value: ends the verification.
struct Differs {
  std::string line;
};

template <class T>
void expect_equal(const std::string& place, const char* field, T stored, T found) {
  if (stored != found) throw Differs{fmt::format("{}: {} is {} in the file, and {} here", place, field, stored, found)};
}

/// Compares bits: what is not a number equals itself.
void expect_equal(const std::string& place, const char* field, double stored, double found) {
  if (std::bit_cast<std::uint64_t>(stored) != std::bit_cast<std::uint64_t>(found))
    throw Differs{fmt::format("{}: {} is {:.17g} in the file, and {:.17g} here", place, field, stored, found)};
}

void expect_equal(const std::string& place, const Score& stored, const Score& found) {
  expect_equal(place, "images", stored.images, found.images);
  expect_equal(place, "kd_sum", stored.kd, found.kd);
  expect_equal(place, "attention_sum", stored.attention, found.attention);
  expect_equal(place, "both_right", stored.both_right, found.both_right);
  expect_equal(place, "teacher_only", stored.teacher_only, found.teacher_only);
  expect_equal(place, "student_only", stored.student_only, found.student_only);
}

/// Whole iterations with at least `episodes` episodes, spread evenly over the run, the last one among them.
std::vector<IterationRows> chosen_iterations(const RunData& run, std::uint64_t episodes) {
  const std::vector<IterationRows> all = iterations_of(run);
  for (std::size_t count = 1; count <= all.size(); ++count) {
    std::vector<IterationRows> chosen;
    std::uint64_t sum = 0;
    for (std::size_t i = 1; i <= count; ++i) {
      chosen.push_back(all[all.size() * i / count - 1]);
      sum += chosen.back().count;
    }
    if (sum >= episodes) return chosen;
  }
  return all;
}

class Verification {
 public:
  explicit Verification(const StoredRun& stored) : stored_(stored), run_(stored.run) {}

  void episodes(std::uint64_t at_least) {
    const std::vector<IterationRows> iterations = chosen_iterations(run_, at_least);
    std::size_t scored = 0;
    for (const IterationRows& rows : iterations) {
      std::vector<std::vector<Codes>> codes;
      for (std::size_t e = rows.first; e < rows.first + rows.count; ++e) codes.push_back(run_.episodes[e].codes);
      codes.push_back(reference_codes(run_));
      const std::vector<Score> scores = score_iteration(stored_, rows.iteration, std::move(codes));
      for (std::size_t i = 0; i < rows.count; ++i) {
        const Episode& episode = run_.episodes[rows.first + i];
        const std::string place = fmt::format("episode {}", rows.first + i);
        expect_equal(place, episode.score, scores[i]);
        expect_equal(place, "reward", episode.reward, reward(scores[i], run_.attention_weight));
      }
      update(rows, reward(scores.back(), run_.attention_weight));
      scored += rows.count;
    }
    equal("{} of {} episodes, in {} of {} iterations", scored, run_.episodes.size(), iterations.size(),
          iterations_of(run_).size());
  }

  /// What follows from calibration: histograms, initial codes, and the MSE optimum.
  void sites() {
    const std::vector<Histogram> histograms = calibration_histograms(stored_);
    for (std::size_t i = 0; i < run_.sites.size(); ++i) {
      const SiteData& site = run_.sites[i];
      const std::string place = fmt::format("site {}", site.name);
      for (int q = 0; q < 256; ++q)
        expect_equal(place, fmt::format("histogram[{}]", q).c_str(), site.histogram.counts[q], histograms[i].counts[q]);
      expect_equal(place, "init_codes", to_string(site.init), to_string(initial_codes(site.tmax)));
      expect_equal(place, "mse_codes", to_string(site.mse), to_string(mse_optimum(histograms[i], site.tmax)));
    }
    equal("histograms, initial codes and MSE optimum of {}", counted(run_.sites.size(), "site"));
  }

  void evaluations() {
    for (std::size_t i = 0; i < run_.evaluations.size(); ++i) {
      const Evaluation& evaluation = run_.evaluations[i];
      expect_equal(fmt::format("evaluation {}", i), evaluation.validation,
                   on_split(Split::validation, evaluation.validation.images, {evaluation.codes}, true).front().score);
    }
    equal("{} while the search went on", counted(run_.evaluations.size(), "evaluation"));
  }

  void candidate(std::size_t row) {
    const Candidate& candidate = run_.top[row];
    const std::string place = fmt::format("row {} of /top", row);
    const auto found = on_split(Split::validation, candidate.validation.images, {candidate.codes}, true).front();
    expect_equal(place, candidate.validation, found.score);
    for (std::size_t r = 0; r < candidate.record_rewards.size(); ++r)
      expect_equal(place, fmt::format("validation_record_rewards[{}]", r).c_str(), candidate.record_rewards[r],
                   found.record_rewards.at(r));
  }

  void selected() {
    const Candidate& candidate = run_.top[run_.selected.top_index];
    this->candidate(run_.selected.top_index);
    equal("the selected student, row {} of /top, on {} validation images", run_.selected.top_index,
          candidate.validation.images);
    std::vector<Codes> mse;
    for (const SiteData& site : run_.sites) mse.push_back(site.mse);
    const std::uint64_t images = run_.selected.test.images;
    expect_equal("the selected student on the test split", run_.selected.test,
                 on_split(Split::test, images, {candidate.codes}, true).front().score);
    expect_equal("the MSE optimum on the test split", run_.selected.test_mse,
                 on_split(Split::test, images, {mse}, false).front().score);
    equal("it and the MSE optimum on {} test images", images);
  }

  void candidates() {
    for (std::size_t row = 0; row < run_.top.size(); ++row) candidate(row);
    equal("{} of /top", counted(run_.top.size(), "candidate"));
  }

  /// What follows from the stored fields, and the schema. Comes last: what is scored again says more of an edit.
  void file(const std::string& path) {
    const std::vector<std::string> violations = validate_run(path);
    if (!violations.empty()) throw Differs{violations.front()};
    equal("what the file derives from these fields, and its schema");
  }

 private:
  /// What /updates says of the rewards of an iteration. reference: the start's reward on its images.
  void update(const IterationRows& rows, double reference) const {
    const std::string place = fmt::format("iteration {}", rows.iteration);
    double mean = 0, best = -std::numeric_limits<double>::infinity();
    for (std::size_t e = rows.first; e < rows.first + rows.count; ++e) {
      mean += run_.episodes[e].reward / double(rows.count);
      best = std::max(best, run_.episodes[e].reward);
    }
    for (const Update& update : run_.updates) {
      if (update.iteration != rows.iteration) continue;
      expect_equal(place, "reference_reward", update.reference_reward, reference);
      expect_equal(place, "mean_reward", update.mean_reward, mean);
      expect_equal(place, "best_reward", update.best_reward, best);
    }
  }

  /// The codes on the first images of a split.
  std::vector<Finalist> on_split(Split split, std::uint64_t images, std::vector<std::vector<Codes>> codes,
                                 bool repaired) {
    const std::size_t students = codes.size();
    if (images > stored_.data.split_size(split))
      throw Differs{fmt::format("{} images of the {} split are in the file, {} here", images, split_name(split),
                                stored_.data.split_size(split))};
    ScoreRequest request = image_range(split, split_batch, 0, images, {});
    request.candidates = std::move(codes);
    if (repaired && !stored_.repair.empty()) {
      request.repairs = {stored_.repair};
      request.repair_of.assign(students, 0);
    }
    const std::vector<Score> records = stored_.scorer->score(request, 0, request.items());
    std::vector<Finalist> found(students);
    std::vector<std::size_t> all(students);
    std::iota(all.begin(), all.end(), 0);
    add_records(found, all, records, run_.attention_weight);
    return found;
  }

  template <class... Values>
  void equal(fmt::format_string<Values...> what, Values&&... values) {
    fmt::print("equal  {}\n", fmt::format(what, std::forward<Values>(values)...));
  }

  const StoredRun& stored_;
  const RunData& run_;
};

int run_verify(const VerifyOptions& o) {
  const auto stored = load_stored_run(o.stored);
  const RunData& run = stored->run;
  Verification verification(*stored);
  try {
    verification.sites();
    verification.episodes(o.all ? run.episodes.size() : o.episodes);
    if (o.all) verification.evaluations();
    if (run.finished) verification.selected();
    if (run.finished && o.all) verification.candidates();
    verification.file(o.stored.run);
  } catch (const Differs& difference) {
    fmt::print("different  {}\n", difference.line);
    return exit_different;
  }
  if (!run.finished) fmt::print("The run is not finished: nothing is selected yet.\n");
  return 0;
}

}  // namespace

void setup_verify(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<VerifyOptions>();
  VerifyOptions& o = *options;
  CLI::App* app = program.add_subcommand(
      "verify", "Score sites, episodes and the selected student of a run again, and compare bit by bit");
  declare_stored_run(*app, o.stored);
  add_exit_codes(*app, {{0, "every bit came out again"}, {exit_different, "something came out differently"}});
  CLI::Option* episodes =
      app->add_option("--episodes", o.episodes, "How many episodes at least, in whole iterations spread over the run")
          ->check(whole(1, std::uint64_t{1} << 62))
          ->capture_default_str();
  app->add_flag("--all", o.all, "All episodes, evaluations and candidates")
      ->disable_flag_override()
      ->excludes(episodes);
  app->callback([=, &exit_code] { exit_code = run_verify(*options); });
}

}  // namespace triseg
