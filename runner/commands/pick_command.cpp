// triseg pick: a result file of any candidate of a finished search, such as a point of its front.
#include "core/error.hpp"
#include "learner/files/result_file.hpp"
#include "learner/files/run_file.hpp"
#include "runner/commands/commands.hpp"
#include "runner/commands/option_checks.hpp"
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
  std::optional<std::size_t> top_index;
};

int run_pick(const PickOptions& o) {
  namespace fs = std::filesystem;
  if (o.run.empty())
    throw CLI::ParseError("pick: expected run, the name of a run file (NAME.h5)", CLI::ExitCodes::RequiredError);
  if (!o.top_index)
    throw CLI::ParseError("pick: expected top_index, a candidate's row of /top, behind the run file",
                          CLI::ExitCodes::RequiredError);
  if (fs::path(o.run).extension() != ".h5")
    fail("{}: expected a run file (NAME.h5), the one beside the result file", o.run);
  const RunData run = read_run(o.run);
  const fs::path out =
      o.out.empty() ? fs::path(o.run).replace_extension(fmt::format("top{}.json", *o.top_index)) : fs::path(o.out);
  check_name_length("--out", out);
  const FileLock lock(out, "--out");
  if (fs::exists(out)) fail("{} is there already: remove it or give another --out", out.string());
  write_candidate(out, run, *o.top_index);
  fmt::print("JSON: {}\n", out.string());
  return 0;
}

}  // namespace

void setup_pick(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<PickOptions>();
  CLI::App* app = program.add_subcommand(
      "pick", "Make a result file of any candidate of a finished search, for evaluate and repair");
  app->add_option("run", options->run, "Run file (NAME.h5)")->check(path_text("a run file"));
  app->add_option("top_index", options->top_index, "Which candidate: its row of /top, the top_index of NAME.pareto.csv")
      ->check(whole(0, std::numeric_limits<std::int64_t>::max()));
  app->add_option("--out", options->out, "Result file (default: NAME.topN.json beside NAME.h5)")
      ->check(path_text("a file"));
  app->callback([=, &exit_code] { exit_code = run_pick(*options); });
}

}  // namespace triseg
