// triseg search: one run, on all ranks.
#include "core/atomic_file.hpp"
#include "learner/judging/pareto.hpp"
#include "learner/files/result_file.hpp"
#include "runner/commands/commands.hpp"
#include "runner/inputs.hpp"
#include "runner/ranks/ranks.hpp"
#include "runner/commands/results_table.hpp"
#include "runner/run_lock.hpp"
#include "runner/run_start.hpp"
#include "runner/search.hpp"
#include "runner/search_options.hpp"
#include "runner/ranks/signals.hpp"
#include "runner/ranks/transport.hpp"

#include <CLI/CLI.hpp>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace triseg {
namespace {

namespace fs = std::filesystem;

void announce(const Network& network, const RunData& run, const Inputs& inputs) {
  const auto sites = network.sites();
  const auto convolutions = std::count_if(sites.begin(), sites.end(), [&](std::size_t l) {
    return network.layers[l].kind == LayerKind::convolution;
  });
  spdlog::info("Using {} with {} layers ({} conv + {} fc)", network.display_name, sites.size(), convolutions,
               static_cast<std::ptrdiff_t>(sites.size()) - convolutions);
  if (!run.attention_layers.empty())
    spdlog::info("Attention Transfer: {} layers ({})", run.attention_layers.size(), fmt::join(run.attention_layers, ", "));
  spdlog::info("Engine {}: {}; transport {}: {} ranks x {} threads", run.engine, inputs.scorer->engine_description(),
               run.transport, run.ranks, run.threads_per_rank);
}

/// The learner's part, once all ranks have loaded their inputs.
int learn(const SearchOptions& o, Inputs& inputs, RunData run, Rollout& rollout, const RunFiles& files) {
  announce(inputs.model->network.network, run, inputs);
  if (run.finished) {
    spdlog::info("{} is finished: nothing to do", files.run.string());
  } else {
    if (run.checkpoint.next_iteration > 0)
      spdlog::info("Continuing {} at episode {} of {}", files.run.string(), run.episodes.size(), run.episodes_total);
    Search search(o, inputs.model->network, *inputs.data, rollout, std::move(run), files.run);
    const int exit_code = search.run();
    const SearchSeconds& s = search.seconds();
    spdlog::info("Seconds: calibration {:.2f}, repair {:.2f}, scoring {:.2f}, learner {:.2f}, files {:.2f}, final scoring {:.2f}",
                 s.calibration, s.repair, s.scoring, s.learner, s.files, s.final_scoring);
    run = search.data();
    if (exit_code != 0) {
      spdlog::info("Stopped by a signal at episode {} of {}; the same command continues", run.episodes.size(), run.episodes_total);
      return exit_code;
    }
  }
  write_result(files.result, run);
  commit_file(files.pareto, pareto_csv(run));
  std::fputs(results_table(run).c_str(), stdout);
  fmt::print("JSON: {}\nHDF5: {}\nPareto front: {}\n", files.result.string(), files.run.string(), files.pareto.string());
  return 0;
}

int run_on(Transport& transport, std::string_view why, CLI::App& app, SearchOptions& o) {
  RunData run;
  Inputs inputs = load_agreed_inputs(transport, o, app, run);
  const RunFiles files = run_files(o);
  std::optional<RunLock> lock;
  agree(transport, [&] {
    if (transport.rank() != 0) return;
    ensure_writable_folder(files.folder);
    lock.emplace(files.run);
    take_place(run, o, app, inputs, transport);
    if (run.engine == "cuda" && transport.size() > 1) spdlog::info("Transport {}: {}", transport.name(), why);
  });
  Rollout rollout(transport, *inputs.scorer, o.dedicated_learner);
  if (transport.rank() != 0) return rollout.serve();
  const int exit_code = learn(o, inputs, std::move(run), rollout, files);
  rollout.finish(exit_code);
  return exit_code;
}

int run_search(CLI::App& app, SearchOptions& o) {
  catch_stop_signals("iteration");
  const auto problem = failure_of([&] {
    const auto given = given_options(app);
    apply_config_file(app);
    resolve_options(o);
    check_meaning(o, given);
  });
  std::string why;
  const auto transport = make_transport(o.transport, o.engine, o.rank_timeout, problem, &why);
  return together(*transport, [&] { return run_on(*transport, why, app, o); });
}

}  // namespace

void setup_search(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<SearchOptions>();
  CLI::App* app = program.add_subcommand("search", "Search the codes of a network's sites");
  declare_options(*app, *options);
  app->callback([=, &exit_code] { exit_code = run_search(*app, *options); });
}

}  // namespace triseg
