// triseg pick: a result file of any candidate of a search, such as a point of its front, or its best so far.
#include "core/error.hpp"
#include "learner/files/result_file.hpp"
#include "learner/files/run_file.hpp"
#include "learner/judging/selection.hpp"
#include "runner/commands/commands.hpp"
#include "runner/cli/option_checks.hpp"
#include "runner/file_lock.hpp"

#include <CLI/CLI.hpp>

#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>

namespace triseg {
namespace {

struct PickOptions {
  std::string run, out;
  std::optional<std::size_t> top_index, episode;
};

struct Pick {
  bool is_episode = false;
  std::size_t row = 0;
  std::string name;  ///< of the file, behind that of the run
};

/// What was asked for; of an unfinished run its best episode, if nothing was.
Pick picked(const PickOptions& o, const RunData& run) {
  if (o.episode) return {true, *o.episode, fmt::format("episode{}", *o.episode)};
  if (o.top_index) return {false, *o.top_index, fmt::format("top{}", *o.top_index)};
  if (run.finished)
    throw CLI::ParseError("pick: expected top_index, a candidate's row of /top, behind the run file",
                          CLI::ExitCodes::RequiredError);
  const auto best = best_episodes(run.episodes, run.updates, 1);
  if (best.empty()) fail("{}: it has no episode yet", o.run);
  return {true, best.front(), fmt::format("episode{}", best.front())};
}

int run_pick(const PickOptions& o) {
  namespace fs = std::filesystem;
  if (o.run.empty())
    throw CLI::ParseError("pick: expected run, the name of a run file (NAME.h5)", CLI::ExitCodes::RequiredError);
  if (fs::path(o.run).extension() != ".h5")
    fail("{}: expected a run file (NAME.h5), the one beside the result file", o.run);
  const RunData run = read_run(o.run);
  const Pick pick = picked(o, run);
  const fs::path out = o.out.empty() ? fs::path(o.run).replace_extension(pick.name + ".json") : fs::path(o.out);
  check_name_length("--out", out);
  const FileLock lock(out, "--out");
  if (fs::exists(out)) fail("{} is there already: remove it or give another --out", out.string());
  if (pick.is_episode) write_episode(out, run, pick.row);
  else write_candidate(out, run, pick.row);
  fmt::print("JSON: {}\n", out.string());
  return 0;
}

}  // namespace

void setup_pick(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<PickOptions>();
  CLI::App* app = program.add_subcommand(
      "pick",
      "Make a result file of any candidate of a search, or of its best episode so far, for evaluate and repair");
  app->add_option("run", options->run, "Run file (NAME.h5)")->check(path_text("a run file"));
  CLI::Option* top_index =
      app->add_option(
             "top_index", options->top_index,
             "Which candidate: its row of /top, the top_index of NAME.pareto.csv; needed if the run is finished")
          ->check(whole(0, std::numeric_limits<std::int64_t>::max()));
  app->add_option("--episode", options->episode, "An episode instead (default, if the run is not finished: its best)")
      ->check(whole(0, std::numeric_limits<std::int64_t>::max()))
      ->excludes(top_index);
  app->add_option("--out", options->out, "Result file (default: NAME.topN.json or NAME.episodeN.json beside NAME.h5)")
      ->check(path_text("a file"));
  app->callback([=, &exit_code] { exit_code = run_pick(*options); });
}

}  // namespace triseg
