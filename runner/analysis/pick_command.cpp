// triseg pick: a result file of any candidate of a search, such as a point of its front, or of the best that a stopped
// one has so far.
#include "core/error.hpp"
#include "core/text.hpp"
#include "learner/files/result_file.hpp"
#include "learner/files/run_file.hpp"
#include "learner/judging/selection.hpp"
#include "runner/analysis/stored_run.hpp"
#include "runner/commands/commands.hpp"
#include "runner/cli/option_checks.hpp"
#include "runner/file_lock.hpp"

#include <CLI/CLI.hpp>

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

namespace triseg {
namespace {

struct PickOptions {
  StoredRunOptions stored;
  std::string out;
  std::optional<std::size_t> top_index, episode;
};

/// Episodes of a stopped search that validation is asked about: more would find luckier ones.
constexpr std::size_t most_episodes = 8;

/// The best episodes by validation as far as the final scoring has come, else by their gain.
std::vector<std::size_t> promising_episodes(const RunData& run) {
  const auto top_k = number_in<std::size_t>(option_of(run, "top-k"));
  std::vector<std::size_t> episodes = best_episodes(run.episodes, run.updates, top_k.value_or(most_episodes));
  if (run.finalists.size() >= episodes.size()) {  // which begin with these
    const auto score = [&](std::size_t i) { return run.finalists[i].score; };
    std::vector<std::size_t> order(episodes.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return score(a).images != score(b).images
                 ? score(a).images > score(b).images
                 : reward(score(a), run.attention_weight) > reward(score(b), run.attention_weight);
    });
    for (std::size_t& i : order) i = episodes[i];
    episodes = std::move(order);
  }
  episodes.resize(std::min(episodes.size(), most_episodes));
  return episodes;
}

/// What a stopped search has: the policy's most probable codes of the last evaluation and of that with the least KD,
/// and the most promising episodes.
std::vector<PickedStudent> students_of(const RunData& run) {
  std::vector<PickedStudent> students;
  if (!run.evaluations.empty()) {
    const Evaluation& last = run.evaluations.back();
    students.push_back({"policy", last.iteration, last.codes, {}, {}});
    const Evaluation& best = *std::min_element(
        run.evaluations.begin(), run.evaluations.end(),
        [](const Evaluation& a, const Evaluation& b) { return a.validation.mean_kd() < b.validation.mean_kd(); });
    if (best.codes != last.codes) students.push_back({"policy", best.iteration, best.codes, {}, {}});
  }
  for (const std::size_t i : promising_episodes(run)) students.push_back({"episode", i, run.episodes[i].codes, {}, {}});
  return students;
}

/// The best of them by the reward on validation.
PickedStudent best_student(const StoredRun& stored) {
  std::vector<PickedStudent> students = students_of(stored.run);
  std::vector<std::vector<Codes>> codes;
  for (const PickedStudent& student : students) codes.push_back(student.codes);
  codes.push_back(reference_codes(stored.run));
  const std::vector<Score> scores = score_on_validation(stored, std::move(codes));
  std::size_t best = 0;
  for (std::size_t i = 0; i < students.size(); ++i)
    if (reward(scores[i], stored.run.attention_weight) > reward(scores[best], stored.run.attention_weight)) best = i;
  students[best].validation = scores[best];
  students[best].validation_start = scores.back();
  fmt::print("{}, the best of {} on {} validation images\n",
             students[best].name == "policy"
                 ? fmt::format("The most probable codes after iteration {}", students[best].row)
                 : fmt::format("Episode {}", students[best].row),
             counted(students.size(), "student"), scores[best].images);
  return students[best];
}

/// Says what the student is worth beside the start, in a unit in which less is better.
void compare_with_start(const char* what, double student, double start, const std::string& on) {
  fmt::print("{} {:.5f}; the start has {:.5f} on the same {}\n", what, student, start, on);
  if (student >= start)
    spdlog::warn("warning: this is no better than the start: let the search go on before its codes are taken");
}

/// Writes the result by `write`, unless a file is there. name: of the file, behind that of the run.
void write_result(const PickOptions& o, const std::string& name,
                  const std::function<void(const std::filesystem::path&)>& write) {
  namespace fs = std::filesystem;
  const fs::path out = o.out.empty() ? fs::path(o.stored.run).replace_extension(name + ".json") : fs::path(o.out);
  check_name_length("--out", out);
  const FileLock lock(out, "--out");
  if (fs::exists(out)) fail("{} is there already: remove it or give another --out", out.string());
  write(out);
  fmt::print("JSON: {}\n", out.string());
}

int run_pick(const PickOptions& o) {
  const RunData run = read_stored_run(o.stored);
  if (o.episode) {
    write_result(o, fmt::format("episode{}", *o.episode),
                 [&](const auto& out) { write_episode(out, run, *o.episode); });
    const Episode& e = run.episodes[*o.episode];
    compare_with_start("minus reward", -e.reward, -run.updates[e.iteration].reference_reward,
                       counted(e.score.images, "image") + " of its iteration");
  } else if (o.top_index) {
    write_result(o, fmt::format("top{}", *o.top_index),
                 [&](const auto& out) { write_candidate(out, run, *o.top_index); });
  } else if (run.finished) {
    throw CLI::ParseError("pick: expected top_index, a candidate's row of /top, behind the run file",
                          CLI::ExitCodes::RequiredError);
  } else {
    if (students_of(run).empty()) fail("{}: it has no episode yet", o.stored.run);
    const auto stored = load_stored_run(o.stored);
    const PickedStudent best = best_student(*stored);
    write_result(o, fmt::format("{}{}", best.name, best.row),
                 [&](const auto& out) { write_picked(out, stored->run, best); });
    compare_with_start("KD", best.validation.mean_kd(), best.validation_start.mean_kd(), "images");
  }
  return 0;
}

}  // namespace

void setup_pick(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<PickOptions>();
  CLI::App* app = program.add_subcommand(
      "pick",
      "Make a result file of any candidate of a search, or of the best of a stopped one, for evaluate and repair");
  declare_stored_run(*app, options->stored);
  CLI::Option* top_index =
      app->add_option(
             "top_index", options->top_index,
             "Which candidate: its row of /top, the top_index of NAME.pareto.csv; needed if the run is finished")
          ->check(whole(0, std::numeric_limits<std::int64_t>::max()));
  app->add_option(
         "--episode", options->episode,
         "An episode instead (default, if the run is not finished: the best on validation of the policy's most "
         "probable codes and of the best episodes; that needs its images and its teacher)")
      ->check(whole(0, std::numeric_limits<std::int64_t>::max()))
      ->excludes(top_index);
  app->add_option("--out", options->out,
                  "Result file (default: NAME.topN.json, NAME.episodeN.json or NAME.policyN.json beside NAME.h5)")
      ->check(path_text("a file"));
  app->callback([=, &exit_code] { exit_code = run_pick(*options); });
}

}  // namespace triseg
