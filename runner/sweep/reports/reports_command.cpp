// triseg sweep status, top and collect: what a sweep has come to.
#include "core/error.hpp"
#include "runner/commands/commands.hpp"
#include "runner/cli/option_checks.hpp"
#include "runner/sweep/reports/sweep_collect.hpp"
#include "runner/sweep/reports/sweep_status.hpp"
#include "runner/sweep/reports/sweep_top.hpp"

#include <CLI/CLI.hpp>

#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace triseg {
namespace {

struct StatusOptions {
  std::string folder;
  double watch = 0;  ///< seconds; 0: once
};

int show_status(const StatusOptions& o) {
  const bool terminal = ::isatty(STDOUT_FILENO) != 0;
  for (;;) {
    bool done = false;
    const std::string text = status_text({o.folder}, &done);
    fmt::print("{}{}", o.watch > 0 && terminal ? "\033[H\033[2J" : "", text);
    std::fflush(stdout);
    if (o.watch == 0 || done) return 0;
    std::this_thread::sleep_for(std::chrono::duration<double>(o.watch));
  }
}

void setup_status(CLI::App& sweep, int& exit_code) {
  auto options = std::make_shared<StatusOptions>();
  CLI::App* app = sweep.add_subcommand("status", "Say how far a sweep is, from the files in its folder");
  app->add_option("folder", options->folder, "Folder of the sweep")->required()->check(path_text("a folder"));
  app->add_option("--watch", options->watch, "Say it again every so many seconds, until no run is waiting or running")
      ->check(within(0.1, 1e6));
  app->callback([options, &exit_code] { exit_code = show_status(*options); });
}

void setup_collect(CLI::App& sweep, int& exit_code) {
  auto folder = std::make_shared<std::string>();
  CLI::App* app = sweep.add_subcommand("collect", "Write the runs of a sweep as one table: DIR/sweep.h5 and sweep.csv");
  app->add_option("folder", *folder, "Folder of the sweep")->required()->check(path_text("a folder"));
  app->callback([folder, &exit_code] {
    const Collected files = collect({*folder});
    fmt::print("{}\nHDF5: {}\nCSV: {}\n", files.counts, files.hdf5.string(), files.csv.string());
    exit_code = 0;
  });
}

void setup_top(CLI::App& sweep, int& exit_code) {
  struct Options {
    std::string folder;
    TopOptions top;
  };
  auto options = std::make_shared<Options>();
  CLI::App* app =
      sweep.add_subcommand("top", "Leaderboard of a sweep's settings, means over seeds with 95 % intervals");
  app->add_option("folder", options->folder, "Folder of the sweep")->required()->check(path_text("a folder"));
  app->add_option("--sort", options->top.sort, "By kd, accuracy, drop, coverage or energy, on the validation split")
      ->check(offers({"kd", "accuracy", "drop", "coverage", "energy"}))
      ->capture_default_str();
  app->add_option_function<std::vector<std::string>>(
         "--where",
         [options](const std::vector<std::string>& conditions) {
           for (const std::string& text : conditions) {
             const std::size_t equals = text.find('=');
             if (equals == std::string::npos)
               throw CLI::ValidationError("--where", fmt::format("expected OPTION=VALUE, found '{}'", text));
             options->top.where.emplace_back(text.substr(0, equals), text.substr(equals + 1));
           }
         },
         "Only runs whose OPTION has this value, strategy=ppo; of several all must hold")
      ->allow_extra_args(false);
  app->add_option("--limit", options->top.limit, "Settings shown; 0: all")
      ->check(whole(0, 1'000'000'000))
      ->capture_default_str();
  app->callback([options, &exit_code] {
    fmt::print("{}", top_text({options->folder}, options->top));
    exit_code = 0;
  });
}

}  // namespace

void setup_sweep_reports(CLI::App& program, int& exit_code) {
  CLI::App& sweep = *program.get_subcommand("sweep");
  setup_status(sweep, exit_code);
  setup_collect(sweep, exit_code);
  setup_top(sweep, exit_code);
}

}  // namespace triseg
