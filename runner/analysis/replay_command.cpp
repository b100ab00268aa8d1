// triseg replay: one episode of a run, image by image.
#include "core/error.hpp"
#include "core/text.hpp"
#include "learner/image_order.hpp"
#include "learner/judging/selection.hpp"
#include "runner/analysis/stored_run.hpp"
#include "runner/commands/commands.hpp"
#include "runner/cli/declare_options.hpp"
#include "runner/cli/help.hpp"
#include "runner/cli/option_checks.hpp"
#include "runner/ranks/signals.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <spdlog/fmt/fmt.h>

#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace triseg {
namespace {

using Json = nlohmann::ordered_json;

struct ReplayOptions {
  StoredRunOptions stored;
  std::optional<std::uint64_t> episode;
  std::string format = "table";
};

struct Replayed {
  const Episode& episode;
  std::uint64_t number;
  std::vector<std::uint32_t> images;  ///< of the search split
  std::vector<std::uint16_t> labels;  ///< (images)
  std::vector<Score> terms;           ///< (images): each of one image
  Score score;                        ///< of all of them at once, as the search scored it
};

Replayed replay(const StoredRun& stored, std::uint64_t number) {
  const Episode& episode = stored.run.episodes[number];
  ImageOrder order(stored.data.split_size(Split::search), stored.batch_size, stored.run.seed);
  Replayed result{episode, number, order.images(episode.iteration), {}, {}, {}};
  const Images& images = stored.data.split_images(Split::search);
  for (const std::uint32_t image : result.images)
    result.labels.push_back(images.labels[image + stored.data.split_offset(Split::search)]);
  ScoreRequest request{Split::search, 1, result.images, {episode.codes}, {}, {}, {}, {}};
  if (!stored.repair.empty()) {
    request.repairs = {stored.repair};
    request.repair_of = {0};
  }
  result.terms = stored.scorer->score(request, 0, request.items());
  result.score = score_iteration(stored, episode.iteration, {episode.codes}).front();
  return result;
}

std::string right_of(const Score& image) {
  return image.both_right ? "both" : image.teacher_only ? "teacher" : image.student_only ? "student" : "none";
}

void print_json(const StoredRun& stored, const Replayed& r, bool equal) {
  Json json = {{"episode", r.number}, {"iteration", r.episode.iteration}, {"equal", equal}};
  for (std::size_t i = 0; i < r.episode.codes.size(); ++i)
    for (const auto& [name, member] : code_members)
      json["codes"][stored.run.sites[i].name][name] = r.episode.codes[i].*member;
  json["kd"] = r.score.mean_kd();
  json["attention"] = r.score.mean_attention();
  json["reward"] = reward(r.score, stored.run.attention_weight);
  for (std::size_t i = 0; i < r.images.size(); ++i)
    json["images"].push_back({{"image", r.images[i]},
                              {"label", r.labels[i]},
                              {"kd", r.terms[i].kd},
                              {"attention", r.terms[i].attention},
                              {"right", right_of(r.terms[i])}});
  fmt::print("{}\n", json.dump(2));
}

void print_table(const StoredRun& stored, const Replayed& r, bool equal) {
  fmt::print("episode {} of iteration {}: reward {:.9g} = -(KD {:.9g} + {:g} x attention {:.9g}); {} the file\n",
             r.number, r.episode.iteration, reward(r.score, stored.run.attention_weight), r.score.mean_kd(),
             stored.run.attention_weight, r.score.mean_attention(), equal ? "equal to" : "different from");
  fmt::print("{:<10}{:>6}{:>6}{:>6}{:>6}{:>6}\n", "site", "t1", "v1", "t2", "v2", "tmax");
  for (std::size_t i = 0; i < r.episode.codes.size(); ++i) {
    const Codes& c = r.episode.codes[i];
    fmt::print("{:<10}{:>6}{:>6}{:>6}{:>6}{:>6}\n", stored.run.sites[i].name, c.t1, c.v1, c.t2, c.v2, c.tmax);
  }
  fmt::print("{:>8}{:>7}{:>14}{:>14}   right\n", "image", "label", "KD [nats]", "attention");
  for (std::size_t i = 0; i < r.images.size(); ++i)
    fmt::print("{:>8}{:>7}{:>14.6g}{:>14.6g}   {}\n", r.images[i], r.labels[i], r.terms[i].kd, r.terms[i].attention,
               right_of(r.terms[i]));
}

int run_replay(const ReplayOptions& o) {
  if (!o.stored.run.empty() && !o.episode)
    throw CLI::ParseError("replay: expected episode, its number, behind the run file", CLI::ExitCodes::RequiredError);
  const auto stored = load_stored_run(o.stored);
  if (*o.episode >= stored->run.episodes.size())
    fail("{}: it has {}: expected a number below that, found {}", o.stored.run,
         counted(stored->run.episodes.size(), "episode"), *o.episode);
  const Replayed replayed = replay(*stored, *o.episode);
  const bool equal = replayed.score == replayed.episode.score;
  o.format == "json" ? print_json(*stored, replayed, equal) : print_table(*stored, replayed, equal);
  return equal ? 0 : exit_different;
}

}  // namespace

void setup_replay(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<ReplayOptions>();
  ReplayOptions& o = *options;
  CLI::App* app = program.add_subcommand("replay", "One episode of a run: its codes, its images and their terms");
  declare_stored_run(*app, o.stored);
  add_exit_codes(*app, {{0, "the scores are those of the file"}, {exit_different, "they are not"}});
  app->add_option("episode", o.episode, "Which one: its row of /episodes")
      ->check(whole(0, std::numeric_limits<std::int64_t>::max()));
  app->add_option("--format", o.format, "table or json")->check(one_of(format_names))->capture_default_str();
  app->callback([=, &exit_code] { exit_code = run_replay(*options); });
}

}  // namespace triseg
