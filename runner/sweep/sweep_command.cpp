// triseg sweep: many searches from one file.
#include "core/atomic_file.hpp"
#include "core/error.hpp"
#include "core/text.hpp"
#include "runner/options/command_line.hpp"
#include "runner/commands/commands.hpp"
#include "runner/cli/declare_options.hpp"
#include "runner/cli/help.hpp"
#include "runner/cli/option_checks.hpp"
#include "runner/ranks/ranks.hpp"
#include "runner/ranks/signals.hpp"
#include "runner/search.hpp"
#include "runner/options/shipped_files.hpp"
#include "runner/sweep/sweep_halving.hpp"
#include "runner/sweep/sweep_inputs.hpp"
#include "runner/sweep/sweep_runs.hpp"
#include "runner/sweep/sweep_slurm.hpp"

#include <CLI/CLI.hpp>

#include <filesystem>
#include <memory>
#include <numeric>
#include <set>
#include <string>
#include <vector>

namespace triseg {
namespace {

namespace fs = std::filesystem;

struct SweepOptions {
  std::string file;
  bool dry_run = false, slurm = false, submit = false;
  std::uint64_t tasks = 0;                 ///< of the array; 0: a task a run
  std::uint64_t concurrent = 0;            ///< tasks of the array at once; 0: no limit
  std::vector<std::string> slurm_options;  ///< of sbatch
  SweepPlace place;
};

/// The table for people: a line a run.
void print_table(const SweepTable& table) {
  std::vector<std::string> titles{"index", "id"};
  titles.insert(titles.end(), table.varied.begin(), table.varied.end());
  std::vector<std::vector<std::string>> rows{titles};
  for (std::size_t i = 0; i < table.runs.size(); ++i) {
    const SweepRun& run = table.runs[i];
    rows.push_back({fmt::format("{}", i), run.id});
    for (const std::string& value : run.varied) rows.back().push_back(printable(value));
  }
  fmt::print("{}", aligned(rows));
  if (const std::size_t equal = table.points - table.runs.size(); equal > 0)
    fmt::print("{} of {} equal another: each is done once\n", equal, counted(table.points, "combination"));
  if (const std::string text = repeats_text(table); !text.empty()) fmt::print("{}\n", text);
}

/// The same of what it costs, done or not.
void print_cost(const SweepTable& table) {
  const SweepCost cost = cost_of(table);
  for (std::size_t r = 0; r < cost.rungs.size(); ++r) {
    const auto& [going_on, least, most] = cost.rungs[r];
    const std::uint64_t rung = table.halving.rungs[r];
    std::string measured;
    if (least != most) measured = fmt::format(", measured at {} to {}", least, most);
    else if (least != rung) measured = fmt::format(", measured at {}", least);
    fmt::print("[halving]: {} of them go on at {} episodes{}\n", going_on, rung, measured);
  }
  fmt::print("{}, {} student images in their episodes, at most {} in their final scoring",
             counted(table.runs.size(), "run"), cost.student_images, cost.most_final_images);
  if (!cost.rungs.empty())
    fmt::print(", and {} times the first {} validation images at rungs", cost.measurements, evaluation_images);
  fmt::print("\n");
}

void look_at_all_inputs(SweepTable& table) {
  std::vector<std::size_t> all(table.runs.size());
  std::iota(all.begin(), all.end(), 0);
  InputsCache inputs;
  look_at_inputs(table, all, inputs, true);
}

/// The options of the command line that every task of an array gets: all but those that are about the array itself.
std::vector<std::string> arguments_of_tasks(const CLI::App& app) {
  const std::set<std::string> of_array = {"dry-run", "out",        "slurm",        "submit",
                                          "tasks",   "concurrent", "slurm-option", "ranks-per-run"};
  std::vector<std::string> arguments;
  for (const CLI::Option* option : app.get_options())
    if (option->count() > 0 && !option->get_positional() && !of_array.contains(option->get_single_name())) {
      arguments.push_back("--" + option->get_single_name());
      if (option->get_expected_max() > 0) arguments.push_back(option->results().back());
    }
  return arguments;
}

/// Writes the batch script of an array, and submits it if asked to. arguments: of every task.
void write_array(const SweepTable& table, const SweepOptions& o, const std::vector<std::string>& arguments) {
  const SlurmArray array{o.file,          o.place.out,  table.runs.size(),
                         o.tasks,         o.concurrent, std::size_t(o.place.ranks_per_run),
                         o.slurm_options, arguments};
  const SweepFolder folder{o.place.out};
  const fs::path script = folder.path / "sweep.sbatch";
  const std::string text = batch_script(array, largest_array());
  ensure_writable_folder(folder.path / "slurm");
  write_table(folder, table);
  commit_file(script, text);
  if (!o.submit) {
    fmt::print("{}: submit it with sbatch {}", script.string(), shell_word(script.string()));
    if (const std::size_t rungs = table.halving.rungs.size(); rungs > 0)
      fmt::print(", {} times, each with --dependency=afterany:JOB of the one before", rungs + 1);
    fmt::print("\n");
    return;
  }
  std::string job;
  for (std::size_t part = 0; part <= table.halving.rungs.size(); ++part) {  // every array but the last one to a rung
    job = submit(script, job);
    fmt::print("Job {}: {}\n", job, script.string());
  }
}

int run(SweepOptions& o, const CLI::App& app) {
  catch_stop_signals("iteration");
  SweepTable table;
  const auto problem = failure_of([&] {
    o.file = or_shipped(o.file);
    table = make_table(read_sweep(o.file));
    for (const char* option : {"tasks", "concurrent", "slurm-option"})
      if (!o.slurm && !o.submit && app.count(fmt::format("--{}", option)) > 0)
        fail("--{}: has no effect without --slurm or --submit", option);
    if (o.place.index && app.count("--ranks-per-run") > 0)
      fail("--ranks-per-run: has no effect with --index: all ranks work on one run");
    if (!o.place.index && o.place.index_step > 0) fail("--index-step: has no effect without --index");
    if (o.place.index && *o.place.index >= table.runs.size())
      fail("--index: expected 0 to {}, found {}: {} has {}", table.runs.size() - 1, *o.place.index, o.file,
           counted(table.runs.size(), "run"));
    if (o.place.out.empty()) o.place.out = (fs::path("sweeps") / fs::path(o.file).stem()).string();
  });
  if (!o.dry_run && !o.slurm && !o.submit) return run_sweep(table, o.place, problem);
  const auto ranks = make_transport(o.place.ranks.transport, o.place.ranks.rank_timeout, problem);
  return together(*ranks, [&] {
    agree(*ranks, [&] {
      if (ranks->rank() != 0) return;
      if (o.dry_run) print_table(table);
      look_at_all_inputs(table);
      if (o.dry_run) print_cost(table);
      else write_array(table, o, arguments_of_tasks(app));
    });
    return 0;
  });
}

}  // namespace

void setup_sweep(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<SweepOptions>();
  CLI::App* app = program.add_subcommand("sweep", "Do a search for every combination of options that a file names");
  SweepOptions& o = *options;
  app->add_option("file", o.file, "Sweep file (TOML): a base, axes [grid], [[zip]], [random] and seeds, and [halving]")
      ->check(path_text("a sweep file"));
  app->add_flag("--dry-run", o.dry_run,
                "Print the table of runs and what they cost, look at what they read, and do none")
      ->disable_flag_override();
  app->add_option("--out", o.place.out, "Folder of the sweep (default: sweeps/NAME, from the sweep file's name)")
      ->check(path_text("a folder"));
  app->add_option_function<std::uint64_t>(
         "--index", [&o](const std::uint64_t& index) { o.place.index = index; },
         "Do this run alone: its index in the table of --dry-run, as a task of an array does")
      ->check(whole(0, 1'000'000'000));
  app->add_option("--index-step", o.place.index_step,
                  "With --index I: do runs I, I + N, I + 2N, ..., as an array of N tasks does; 0: I alone")
      ->check(whole(0, 1'000'000'000))
      ->capture_default_str();
  app->add_option("--ranks-per-run", o.place.ranks_per_run,
                  "Ranks that work on one run together; of an array those of a task")
      ->check(whole(1, 1'000'000))
      ->capture_default_str();
  app->add_option("--runs-at-once", o.place.runs_at_once,
                  "Runs that a lone rank does side by side; 0: as many as its cores or its GPU can do")
      ->check(whole(0, 4096))
      ->capture_default_str();
  CLI::Option* index = app->get_option("--index");
  CLI::Option* slurm =
      app->add_flag("--slurm", o.slurm, "Write OUT/sweep.sbatch, a job array with a task a run (--tasks), and do none");
  CLI::Option* submit = app->add_flag("--submit", o.submit, "Write it and give it to sbatch");
  for (CLI::Option* each : {slurm, submit}) each->disable_flag_override()->excludes(index);
  app->add_option("--tasks", o.tasks, "Tasks of the array, which share the runs; 0: a task a run")
      ->check(whole(0, 1'000'000'000))
      ->capture_default_str();
  app->add_option("--concurrent", o.concurrent, "Tasks of the array that may run at once; 0: no limit")
      ->check(whole(0, 1'000'000))
      ->capture_default_str();
  app->add_option_function<std::vector<std::string>>(
         "--slurm-option",
         [&o](const std::vector<std::string>& options) {
           for (const std::string& option : options) check_slurm_option(option);
           o.slurm_options = options;
         },
         "Option of sbatch for the array, such as time=01:00:00, gpus-per-task=1 or exclusive; several are possible")
      ->allow_extra_args(false);
  declare_engine(*app, o.place.engine);
  declare_ranks(*app, o.place.ranks);
  arrange_help(*app, {{"Sweep", {"--dry-run", "--out"}},
                      {"Running",
                       {"--runs-at-once", "--ranks-per-run", "--engine", "--threads", "--transport",
                        "--dedicated-learner", "--rank-timeout"}},
                      {"Part of a sweep", {"--index", "--index-step"}},
                      {"Slurm", {"--slurm", "--submit", "--tasks", "--concurrent", "--slurm-option"}}});
  add_exit_codes(*app, {{0, "all runs are finished, or stopped by [halving]"},
                        {1, "a run failed, or the sweep: the same command tries it again"},
                        {exit_resumable, "stopped by a signal: the same command continues"}});
  app->callback([options, app, &exit_code] {
    if (!app->get_subcommands().empty()) return;
    if (options->file.empty())
      throw CLI::ParseError("sweep: expected the name of a sweep file (TOML), or status and the folder of a sweep",
                            CLI::ExitCodes::RequiredError);
    std::error_code ignored;
    if (const std::string meant = did_you_mean(options->file, {"status", "top", "collect"});
        !meant.empty() && !std::filesystem::exists(options->file, ignored))
      throw CLI::ParseError(fmt::format("sweep: there is no file '{}':{}", printable(options->file), meant),
                            CLI::ExitCodes::RequiredError);
    exit_code = run(*options, *app);
  });
}

}  // namespace triseg
