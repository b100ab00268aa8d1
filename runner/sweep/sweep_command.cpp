// triseg sweep: many searches from one file.
#include "core/error.hpp"
#include "core/text.hpp"
#include "runner/commands/commands.hpp"
#include "runner/commands/declare_options.hpp"
#include "runner/commands/option_checks.hpp"
#include "runner/ranks/ranks.hpp"
#include "runner/ranks/signals.hpp"
#include "runner/sweep/sweep_runs.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>

namespace triseg {
namespace {

namespace fs = std::filesystem;

struct SweepOptions {
  std::string file;
  bool dry_run = false;
  SweepPlace place;
};

/// The table for people: a line a run.
void print_table(const SweepTable& table) {
  std::vector<std::string> titles{"index", "id"};
  titles.insert(titles.end(), table.varied.begin(), table.varied.end());
  std::vector<std::vector<std::string>> rows{titles};
  std::uint64_t images = 0;
  for (std::size_t i = 0; i < table.runs.size(); ++i) {
    const SweepRun& run = table.runs[i];
    rows.push_back({fmt::format("{}", i), run.id});
    rows.back().insert(rows.back().end(), run.varied.begin(), run.varied.end());
    images += run.student_images;
  }
  std::vector<std::size_t> widths(titles.size());
  for (const auto& row : rows)
    for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c)
      line += c + 1 < row.size() ? fmt::format("{:<{}}  ", row[c], widths[c]) : row[c];
    fmt::print("{}\n", line);
  }
  if (const std::size_t equal = table.points - table.runs.size(); equal > 0)
    fmt::print("{} of {} equal another: each is done once\n", equal, counted(table.points, "combination"));
  fmt::print("{}, {} student images in their episodes\n", counted(table.runs.size(), "run"), images);
}

int run(SweepOptions& o) {
  catch_stop_signals("iteration");
  SweepTable table;
  const auto problem = failure_of([&] {
    table = make_table(read_sweep(o.file));
    if (o.place.index && *o.place.index >= table.runs.size())
      fail("--index: expected 0 to {}, found {}: {} has {}", table.runs.size() - 1, *o.place.index, o.file,
           counted(table.runs.size(), "run"));
    if (o.place.out.empty()) o.place.out = (fs::path("sweeps") / fs::path(o.file).stem()).string();
  });
  if (o.dry_run) {
    if (problem) std::rethrow_exception(problem);
    print_table(table);
    return 0;
  }
  return run_sweep(table, o.place, problem);
}

}  // namespace

void setup_sweep(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<SweepOptions>();
  CLI::App* app = program.add_subcommand("sweep", "Do a search for every combination of options that a file names");
  SweepOptions& o = *options;
  app->add_option("file", o.file, "Sweep file (TOML): a base, and axes [grid], [[zip]], [random] and seeds")
      ->required()
      ->check(path_text("a sweep file"));
  app->add_flag("--dry-run", o.dry_run, "Print the table of runs and what they cost, and do none");
  app->add_option("--out", o.place.out, "Folder of the sweep (default: sweeps/NAME, from the sweep file's name)")
      ->check(path_text("a folder"));
  app->add_option_function<std::uint64_t>(
         "--index", [&o](const std::uint64_t& index) { o.place.index = index; },
         "Do this run alone: its index in the table of --dry-run, as a task of an array does")
      ->check(whole(0, 1'000'000'000));
  app->add_option("--ranks-per-run", o.place.ranks_per_run, "Ranks that work on one run together")
      ->check(whole(1, 1'000'000))
      ->capture_default_str();
  app->add_option("--runs-at-once", o.place.runs_at_once,
                  "Runs that a lone rank does side by side; 0: as many as its cores or its GPU can do")
      ->check(whole(0, 4096))
      ->capture_default_str();
  declare_engine(*app, o.place.engine);
  declare_ranks(*app, o.place.ranks);
  app->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace triseg
