#include "runner/run_start.hpp"

#include "core/atomic_file.hpp"
#include "core/error.hpp"
#include "core/sha256.hpp"
#include "learner/files/result_file.hpp"
#include "learner/files/run_file.hpp"
#include "runner/command_line.hpp"
#include "runner/ranks/ranks.hpp"

namespace triseg {
namespace {

namespace fs = std::filesystem;

/// A new run: who it is, and nothing done yet.
RunData new_run(const SearchOptions& o, const Inputs& inputs, const CLI::App& app) {
  const Network& network = inputs.model->network.network;
  RunData run;
  run.model = network.name;
  run.model_display_name = network.display_name;
  run.backend = o.backend;
  run.data_sha256 = inputs.data->sha256;
  run.selection = fmt::format("{} with --max-acc-drop {:g}", o.objective == "coverage" ? "largest coverage" : "best validation reward", o.max_acc_drop);
  run.model_sha256 = inputs.model->sha256;
  run.seed = o.seed;
  run.temperature = o.temperature;
  run.attention_weight = o.attention_weight;
  run.episodes_total = o.episodes;
  run.repair = o.repair;
  for (std::size_t l : network.attention_layers) run.attention_layers.push_back(network.layers[l].name);
  run.energy = read_energy_table(o.energy_table);
  run.config = configuration_toml(app, o);
  run.config_hash = sha256_hex(configuration_text(result_configuration(app, o, run.model_sha256, run.data_sha256, run.energy)));
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
  if (run.energy != wanted.energy) differing.push_back("--energy-table (other energies)");
  if (differing.empty()) differing.push_back("options that this version does not have");
  fail("{} holds a run with another configuration: {}; give the same options to continue it, choose another --out or "
       "--result-file, or remove the file", path.string(), fmt::join(differing, ", "));
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

}  // namespace

RunFiles run_files(const SearchOptions& o) {
  const fs::path folder = fs::path(o.out) / "tri_ppo_int_codes";
  const auto beside = [&](const char* extension) { return (folder / o.result_file).replace_extension(extension); };
  return {folder, folder / o.result_file, beside(".h5"), beside(".pareto.csv")};
}

Inputs load_agreed_inputs(Transport& transport, const SearchOptions& o, const CLI::App& app, RunData& run) {
  Inputs inputs;
  agree(transport, [&] {
    if (fs::is_directory(run_files(o).result)) fail("--result-file: {} is a folder", run_files(o).result.string());
    inputs = load_inputs(o, transport);
    run = new_run(o, inputs, app);
  });
  agree_on(transport, run.config_hash, "options, model file or data set differ from those of rank 0");
  return inputs;
}

void take_place(RunData& run, const SearchOptions& o, const CLI::App& app, const Inputs& inputs, const Transport& transport) {
  const RunFiles files = run_files(o);
  if (fs::exists(files.run)) {
    run = existing_run(files.run, run, app, o);
    run.config = configuration_toml(app, o);  // how fast and where is this command's
  }
  check_place_of_result(files.result, run, files.run);
  run.data = inputs.data->source;
  run.engine = inputs.scorer->engine_name();
  run.transport = transport.name();
  run.ranks = transport.size();
  run.threads_per_rank = inputs.threads;
  run.command_line = command_line();
}

}  // namespace triseg
