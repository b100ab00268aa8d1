// triseg search: one run, on all ranks.
#include "core/atomic_file.hpp"
#include "core/error.hpp"
#include "core/sha256.hpp"
#include "learner/model_file.hpp"
#include "learner/result_file.hpp"
#include "learner/run_file.hpp"
#include "runner/command_line.hpp"
#include "runner/commands.hpp"
#include "runner/inputs.hpp"
#include "runner/model_lookup.hpp"
#include "runner/ranks.hpp"
#include "runner/report_error.hpp"
#include "runner/results_table.hpp"
#include "runner/run_lock.hpp"
#include "runner/search.hpp"
#include "runner/search_options.hpp"
#include "runner/signals.hpp"
#include "runner/transport.hpp"

#include <CLI/CLI.hpp>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>

namespace triseg {
namespace {

namespace fs = std::filesystem;

std::string join(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, ", ")); }

/// A new run: who it is, and nothing done yet.
RunData new_run(const SearchOptions& o, const Inputs& inputs, const CLI::App& app) {
  const Network& network = inputs.model->network.network;
  RunData run;
  run.model = network.name;
  run.model_display_name = network.display_name;
  run.backend = o.backend;
  run.data_sha256 = inputs.data->sha256;
  run.selection = fmt::format("best validation reward with --max-acc-drop {:g}", o.max_acc_drop);
  run.model_sha256 = inputs.model->sha256;
  run.seed = o.seed;
  run.temperature = o.temperature;
  run.attention_weight = o.attention_weight;
  run.episodes_total = o.episodes;
  for (std::size_t l : network.attention_layers) run.attention_layers.push_back(network.layers[l].name);
  run.config = configuration_toml(app, o);
  run.config_hash = sha256_hex(configuration_text(result_configuration(app, o, run.model_sha256, run.data_sha256)));
  return run;
}

/// The run in `path`, if it is this one; Error if it is another.
RunData existing_run(const fs::path& path, const RunData& wanted, const CLI::App& app, const SearchOptions& o) {
  RunData run;
  try {
    run = read_run(path);
  } catch (const Error& error) {
    fail("{}; remove it to start again, restore a copy, or choose another --out or --result-file", error.what());
  }
  if (run.config_hash == wanted.config_hash) return run;
  auto differing = differing_keys(run.config, app, o);
  if (run.model_sha256 != wanted.model_sha256) differing.push_back("--teacher (another model file)");
  if (run.data_sha256 != wanted.data_sha256) differing.push_back("--data (other images or labels)");
  if (differing.empty()) differing.push_back("options that this version does not have");
  fail("{} holds a run with another configuration: {}; give the same options to continue it, choose another --out or "
       "--result-file, or remove the file", path.string(), join(differing));
}

void announce(const Network& network, const RunData& run, const Inputs& inputs) {
  const auto sites = network.sites();
  const auto convolutions = std::count_if(sites.begin(), sites.end(), [&](std::size_t l) {
    return network.layers[l].kind == LayerKind::convolution;
  });
  spdlog::info("Using {} with {} layers ({} conv + {} fc)", network.display_name, sites.size(), convolutions,
               static_cast<std::ptrdiff_t>(sites.size()) - convolutions);
  if (!run.attention_layers.empty())
    spdlog::info("Attention Transfer: {} layers ({})", run.attention_layers.size(), join(run.attention_layers));
  spdlog::info("Engine {}: {}; transport {}: {} ranks x {} threads", run.engine, inputs.scorer->engine_description(),
               run.transport, run.ranks, run.threads_per_rank);
}

/// Throws Error if the JSON's place is taken by anything but this run's own.
void check_place_of_result(const fs::path& result_file, const RunData& run, const fs::path& run_file) {
  if (!fs::exists(result_file)) return;
  std::string config_hash;
  try {
    config_hash = read_result_origin(result_file).config_hash;
  } catch (const Error&) {  // not even a result
  }
  if (config_hash != run.config_hash)
    fail("{} is there but belongs to {}: move it away or choose another --result-file", result_file.string(),
         fs::exists(run_file) ? "another run than the one beside it" : "no run beside it");
}

/// The learner's part, once all ranks have loaded their inputs.
int learn(const SearchOptions& o, Inputs& inputs, RunData run, Rollout& rollout, const fs::path& run_file,
          const fs::path& result_file) {
  announce(inputs.model->network.network, run, inputs);
  if (run.finished) {
    spdlog::info("{} is finished: nothing to do", run_file.string());
  } else {
    if (run.checkpoint.next_iteration > 0)
      spdlog::info("Continuing {} at episode {} of {}", run_file.string(), run.episodes.size(), run.episodes_total);
    Search search(o, inputs.model->network, *inputs.data, rollout, std::move(run), run_file);
    const int exit_code = search.run();
    const SearchSeconds& s = search.seconds();
    spdlog::info("Seconds: calibration {:.2f}, scoring {:.2f}, learner {:.2f}, files {:.2f}, final scoring {:.2f}", s.calibration,
                 s.scoring, s.learner, s.files, s.final_scoring);
    run = search.data();
    if (exit_code != 0) {
      spdlog::info("Stopped by a signal at episode {} of {}; the same command continues", run.episodes.size(), run.episodes_total);
      return exit_code;
    }
  }
  write_result(result_file, run);
  std::fputs(results_table(run).c_str(), stdout);
  fmt::print("JSON: {}\nHDF5: {}\n", result_file.string(), run_file.string());
  return 0;
}

int run_search(CLI::App& app, SearchOptions& o) {
  catch_stop_signals();
  apply_config_file(app);
  resolve_options(o);
  std::string why;
  const auto transport = make_transport(o.transport, o.engine, o.rank_timeout, &why);
  const fs::path folder = fs::path(o.out) / "tri_ppo_int_codes";
  const fs::path result_file = folder / o.result_file, run_file = fs::path(result_file).replace_extension(".h5");
  Inputs inputs;
  RunData run;
  agree(*transport, [&] {
    if (fs::is_directory(result_file)) fail("--result-file: {} is a folder", result_file.string());
    inputs = load_inputs(o, *transport);
    run = new_run(o, inputs, app);
  });
  agree_on(*transport, run.config_hash, "options, model file or data set differ from those of rank 0");
  std::optional<RunLock> lock;
  agree(*transport, [&] {
    if (transport->rank() != 0) return;
    ensure_writable_folder(folder);
    lock.emplace(run_file);
    if (fs::exists(run_file)) run = existing_run(run_file, run, app, o);
    check_place_of_result(result_file, run, run_file);
    run.data = inputs.data->source;
    run.engine = inputs.scorer->engine_name();
    run.transport = transport->name();
    run.ranks = transport->size();
    run.threads_per_rank = inputs.threads;
    run.command_line = command_line();
    if (run.engine == "cuda" && transport->size() > 1) spdlog::info("Transport {}: {}", transport->name(), why);
  });
  Rollout rollout(*transport, *inputs.scorer, o.dedicated_learner);
  int exit_code = 1;
  try {
    if (transport->rank() == 0) {
      exit_code = learn(o, inputs, std::move(run), rollout, run_file, result_file);
      rollout.finish(exit_code);
    } else {
      exit_code = rollout.serve();
    }
  } catch (const std::exception& error) {
    if (transport->size() == 1) throw;
    // The other ranks wait for this one in a collective call and cannot know: end them too.
    report_error(fmt::format("rank {}: {}", transport->rank(), error.what()));
    transport->abort(1);
  }
  return exit_code;
}

}  // namespace

void setup_search(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<SearchOptions>();
  CLI::App* app = program.add_subcommand("search", "Search the codes of a network's sites");
  declare_options(*app, *options);
  app->callback([=, &exit_code] { exit_code = run_search(*app, *options); });
}

}  // namespace triseg
