// triseg search: one run, on all ranks.
#include "core/error.hpp"
#include "core/text.hpp"
#include "runner/commands/commands.hpp"
#include "runner/commands/search_command.hpp"
#include "runner/options/command_line.hpp"
#include "runner/cli/declare_options.hpp"
#include "runner/cli/option_checks.hpp"
#include "runner/commands/results_table.hpp"
#include "runner/display/json_log.hpp"
#include "runner/ranks/ranks.hpp"
#include "runner/ranks/report_error.hpp"
#include "runner/ranks/signals.hpp"
#include "runner/ranks/transport.hpp"
#include "runner/run_search.hpp"

#include <CLI/CLI.hpp>
#include <spdlog/sinks/sink.h>
#include <spdlog/spdlog.h>

#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace triseg {
namespace {

/// What a finished search says on standard output.
void print(const RunData& run, const RunFiles& files) {
  std::fputs(results_table(run).c_str(), stdout);
  fmt::print("JSON: {}\nHDF5: {}\nPareto front: {}\n", files.result.string(), files.run.string(),
             files.pareto.string());
}

int run(CLI::App& app, SearchOptions& o, const GradientMaker& gradients) {
  catch_stop_signals("iteration");
  const auto problem = failure_of([&] {
    const auto given = given_options(app);
    apply_config_file(app);
    check_options(o, given);
    if (o.strategy.kind == StrategyKind::ste && !gradients) become_trainer();
    if (o.output.quiet) spdlog::default_logger()->sinks().front()->set_level(spdlog::level::warn);
    if (!o.output.log_json.empty() && speaks_for_all()) log_to_json(o.output.log_json);
  });
  const auto transport = make_transport(o.ranks.transport, o.ranks.rank_timeout, problem);
  const DescribeOptions describe = [&](const SearchOptions& completed) { return option_texts(app, completed); };
  InputsCache cache;
  return together(*transport, [&] {
    try {
      return run_search(*transport, describe, o, cache, print, nullptr, gradients);
    } catch (const std::exception& error) {
      const std::pair<std::string_view, EventValue> fields[] = {
          {"reason", "failed"}, {"exit_code", std::uint64_t{1}}, {"message", valid_utf8(message_of(error))}};
      log_event("end", fields);
      throw;
    }
  });
}

}  // namespace

void setup_search(CLI::App& program, int& exit_code) { setup_search(program, exit_code, {}); }

void setup_search(CLI::App& program, int& exit_code, const GradientMaker& gradients) {
  auto options = std::make_shared<SearchOptions>();
  CLI::App* app = program.add_subcommand("search", "Search the codes of a network's sites");
  declare_search(*app, *options);
  add_flag(*app, changes_speed, "--finish", options->output.finish,
           "End a search that was stopped with the episodes that it has: score its candidates, select, report")
      ->configurable(false);
  arrange_search_help(*app);
  app->callback([=, &exit_code] { exit_code = run(*app, *options, gradients); });
}

}  // namespace triseg
