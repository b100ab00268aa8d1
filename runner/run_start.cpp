#include "runner/run_start.hpp"

#include "core/atomic_file.hpp"
#include "core/error.hpp"
#include "core/same_work.hpp"
#include "core/sha256.hpp"
#include "learner/files/result_file.hpp"
#include "learner/files/run_file.hpp"
#include "learner/judging/pareto.hpp"
#include "runner/options/command_line.hpp"
#include "runner/options/energy_file.hpp"
#include "runner/ranks/ranks.hpp"
#include "core/toml_file.hpp"

#include <spdlog/spdlog.h>

#include <map>
#include <system_error>
#include <tuple>
#include <utility>

namespace triseg {
namespace {

namespace fs = std::filesystem;

const std::map<std::string, WorkLabel>& labels() {
  static const std::map<std::string, WorkLabel> labels = {{"teacher", {"--teacher", "another model file"}},
                                                          {"data", {"--data", "other images or labels"}},
                                                          {"energy-table", {"--energy-table", "other energies"}},
                                                          {"start", {"--start", "other codes or another repair"}}};
  return labels;
}

std::string energies_of(const RunData& run) {
  std::string energies;
  for (const auto& [name, member] : energy_names) energies += fmt::format("{} ", run.energy.*member);
  return energies;
}

/// Work whose options are these: content is in the place of paths. start: identity of the start, if one is given.
Work with_content(Work options, const RunData& run, const std::string& start) {
  options["teacher"] = run.model_sha256;
  options["data"] = run.data_sha256;
  options["energy-table"] = energies_of(run);
  if (const auto given = options.find("start"); given != options.end() && !given->second.empty()) given->second = start;
  return options;
}

/// Throws SharedError, on every rank, unless all have the same options and files. Engine and threads are a rank's own.
void agree_on_work(Transport& transport, const OptionTexts& texts, const RunData& run, const std::string& start) {
  Work mine(texts.results.begin(), texts.results.end());
  mine.insert(texts.others.begin(), texts.others.end());
  mine = with_content(std::move(mine), run, start);
  mine.erase("engine");
  mine.erase("threads");
  std::string text;
  for (const auto& [name, value] : mine) text += fmt::format("{} = {}\n", name, value);
  const auto all = gather_texts(transport, text);
  agree(transport, [&] {
    for (std::size_t r = 0; r < all.size(); ++r)
      if (all[r] != text)
        fail(
            "rank {} has other options or files than rank 0: {}; give all ranks the same, or --transport local to "
            "searches of their own",
            r, difference(parse_work(all[r]), parse_work(text), labels()));
  });
}

/// What a run's hash is taken over: the options that change results, with digests and values in the place of paths.
std::string hashed_text(const OptionTexts& texts, const RunData& run, const std::string& start) {
  std::vector<std::string> energies;
  for (const auto& [name, member] : energy_names) energies.push_back(fmt::format("{} {}", name, run.energy.*member));
  const std::map<std::string, std::string> content = {{"teacher", run.model_sha256},
                                                      {"data", run.data_sha256},
                                                      {"energy-table", fmt::format("{}", fmt::join(energies, ", "))},
                                                      {"start", start}};
  std::string text;
  for (const auto& [key, value] : texts.results)
    if (!as_before(key, value)) text += key + "=" + (content.contains(key) ? content.at(key) : value) + "\n";
  return text;
}

/// The identity of the start that is given; empty if none is.
std::string start_of(const Inputs& inputs) {
  return inputs.start ? identity_of(*inputs.start, inputs.problem->network()) : "";
}

/// A new run: who it is, and nothing done yet.
RunData new_run(const SearchOptions& o, const Inputs& inputs, const OptionTexts& texts) {
  const Problem& problem = *inputs.problem;
  RunData run;
  run.network = problem.network();
  run.backend = scheme_name(problem.model.scheme);
  run.data_sha256 = inputs.data->sha256;
  run.selection =
      fmt::format("{} with --max-acc-drop {:g}",
                  o.objective.objective == Objective::coverage ? "largest coverage" : "best validation reward",
                  o.selection.max_acc_drop);
  run.model_sha256 = inputs.model_sha256;
  run.seed = o.iteration.seed;
  run.temperature = o.problem.temperature;
  run.attention_weight = o.problem.attention_weight;
  run.episodes_total = o.episodes;
  run.repair = name_of(repair_modes, o.repair.mode);
  for (std::size_t l : problem.attention) run.attention_layers.push_back(problem.network().nodes[l].name);
  run.energy = read_energy_table(o.objective.energy_table);
  run.config = texts.toml;
  run.config_hash = sha256_hex(hashed_text(texts, run, start_of(inputs)));
  return run;
}

/// The work of a run: its options that change results, with content in the place of paths.
Work work_of(const RunData& run, const std::string& start) {
  Work work;
  // The first section of the configuration holds them.
  for (const TomlEntry& entry : parse_toml(run.config.substr(0, run.config.find("\n# ")), "/@config", "key = value"))
    work[entry.key] = entry.joined();
  return with_content(std::move(work), run, start);
}

/// True if the run is of a version without --final-scoring, all of which scored all candidates on all images.
bool lacks_final_scoring(const RunData& run) { return run.config.find("\nfinal-scoring = ") == std::string::npos; }

/// Turns a run that ends at a smaller number of episodes, or would, into one of `wanted` episodes on its way: what its
/// end led to is undone. Throws Error if the longer run would not have come to this point.
void extend(RunData& run, const RunData& wanted, const Work& work, StrategyKind strategy, const fs::path& path) {
  const std::size_t episodes = run.episodes.size();
  if (episodes == run.episodes_total && episodes > 0) {
    const auto each = episodes_of(strategy, std::stoull(work.at("episodes-per-update")));
    if (episodes % each != 0)
      fail(
          "{} has {} episodes and ends within an iteration of {}: a longer run has other draws there, so it cannot go "
          "on; choose another --out or --result-file",
          path.string(), episodes, each);
    if (work.contains("lag") && work.at("lag") != "0")
      fail(
          "{} has learned from its last iteration, which a longer run with --lag {} does one iteration later, so it "
          "cannot go on; choose another --out or --result-file",
          path.string(), work.at("lag"));
  }
  run.finished = false;
  run.top.clear();
  run.finalists.clear();
  run.selected = {};
  run.selection = wanted.selection;
  run.episodes_total = wanted.episodes_total;
  run.config_hash = wanted.config_hash;
}

/// True if `wanted` is the same work with more episodes.
bool is_longer(const Work& stored, Work wanted) {
  const auto there = stored.find("episodes");
  const auto here = wanted.find("episodes");
  if (there == stored.end() || here == wanted.end() || std::stoull(here->second) <= std::stoull(there->second))
    return false;
  here->second = there->second;
  return stored == wanted;
}

/// True if `wanted` is the same work with fewer episodes, and the run has not gone beyond them.
bool ends_earlier(const RunData& run, const Work& stored, const Work& wanted, StrategyKind strategy) {
  const std::uint64_t budget = run.episodes.size() * budget_of_an_episode(strategy);
  return !run.finished && budget <= std::stoull(wanted.at("episodes")) && is_longer(wanted, stored);
}

/// The run in `path`, if it is this one, this one with more episodes that it has not come to, or this one with fewer,
/// which `shorter` becomes; Error if it is another.
RunData existing_run(const fs::path& path, const RunData& wanted, const Inputs& inputs, StrategyKind strategy,
                     std::optional<ShorterRun>& shorter) {
  RunData run;
  try {
    run = read_run(path);
  } catch (const Error& error) {
    fail("{}; remove it to start again, restore a copy, or choose another --out or --result-file", error.what());
  }
  if (run.config_hash == wanted.config_hash) return run;
  std::string differs;
  bool longer = false;
  try {
    const bool brought_repair = inputs.start && !inputs.start->repair.empty();
    const Work stored = work_of(run, start_identity(run, brought_repair));
    Work now = work_of(wanted, start_of(inputs));
    std::erase_if(now, [&](const auto& option) {
      return !stored.contains(option.first) &&
             (option.first == "final-scoring" || as_before(option.first, option.second));
    });
    if (stored == now) return run;
    if (ends_earlier(run, stored, now, strategy)) {
      run.episodes_total = wanted.episodes_total;
      run.config_hash = wanted.config_hash;
      return run;
    }
    if (is_longer(stored, now) && !lacks_final_scoring(run)) {
      longer = true;
      shorter = {run.config_hash, run.episodes_total, run.finished ? result_text(run) : "",
                 run.finished ? pareto_csv(run) : ""};
      extend(run, wanted, stored, strategy, path);
      return run;
    }
    differs = difference(stored, now, labels());
  } catch (const Error&) {
    if (longer) throw;  // of a version that wrote its configuration in another way
  }
  if (differs.empty()) differs = "options that this version does not have";
  fail(
      "{} holds a run with another configuration: {}; give the same options to continue it, choose another --out or "
      "--result-file, or remove the file",
      path.string(), differs);
}

/// Throws Error if the place of the result, or of the front that comes with it, is taken by anything but this run's
/// own, or that of the same run with fewer episodes.
void check_places(const RunFiles& files, const RunData& run, const std::optional<ShorterRun>& shorter) {
  const auto& [folder, result_file, run_file, pareto_file] = files;
  if (!fs::exists(result_file)) {
    if (fs::exists(pareto_file) && !run.finished && !shorter)
      fail("{} is there but belongs to no finished run beside it: move it away or choose another --result-file",
           pareto_file.string());
    return;
  }
  std::string config_hash;
  try {
    config_hash = ResultFile(result_file).origin().config_hash;
  } catch (const Error&) {  // not even a result
  }
  if (config_hash != run.config_hash && (!shorter || config_hash != shorter->config_hash))
    fail("{} is there but belongs to {}: move it away or choose another --result-file", result_file.string(),
         fs::exists(run_file) ? "another run than the one beside it" : "no run beside it");
}

/// A start with a repair brings its mode along.
void adopt_repair(MomentRepairOptions& o, const GivenStart& start) {
  if (start.repair.empty()) return;
  const RepairMode mode = parse_repair_mode(start.mode);
  if (o.mode == RepairMode::none) o.mode = mode;
  if (o.mode != mode)
    fail("--repair {}: the start has a repair of mode {}: expected that, or none given", name_of(repair_modes, o.mode),
         start.mode);
}

/// The --episodes that --finish makes of a search: what those of the run file take. Throws Error if there is none.
std::uint64_t episodes_of_finish(const fs::path& path, StrategyKind strategy) {
  if (!fs::exists(path)) fail("--finish: {} is not there: expected a search that was stopped", path.string());
  const RunProgress progress = read_progress(path);
  if (progress.episodes == progress.episodes_total)
    for (const TomlEntry& entry : parse_toml(progress.config, "/@config", "key = value"))
      if (entry.key == "episodes") return std::stoull(entry.joined());
  if (progress.episodes == 0) fail("--finish: {} has no episode yet", path.string());
  return progress.episodes * budget_of_an_episode(strategy);
}

}  // namespace

RunFiles run_files(const OutputOptions& o) {
  const fs::path folder = fs::path(o.out) / "tri_ppo_int_codes";
  const auto beside = [&](const char* extension) { return (folder / o.result_file).replace_extension(extension); };
  return {folder, folder / o.result_file, beside(".h5"), beside(".pareto.csv")};
}

Inputs load_agreed_inputs(Transport& transport, SearchOptions& o, const DescribeOptions& describe, RunData& run,
                          InputsCache& cache) {
  Inputs inputs;
  OptionTexts texts;
  agree(transport, [&] {
    inputs = cache.load(o.problem, o.iteration, o.repair, o.engine, transport);
    complete_options(o, *inputs.problem);
    if (!o.start.empty()) {
      inputs.start = std::make_shared<const GivenStart>(read_start(o.start, *inputs.problem, inputs.model_sha256));
      adopt_repair(o.repair, *inputs.start);
    }
    if (o.output.finish && transport.rank() == 0)
      o.episodes = episodes_of_finish(run_files(o.output).run, o.strategy.kind);
  });
  if (o.output.finish) o.episodes = std::stoull(broadcast_text(transport, fmt::format("{}", o.episodes)));
  agree(transport, [&] {
    complete_options(o, *inputs.problem);
    std::error_code ignored;
    if (fs::is_directory(run_files(o.output).result, ignored))
      fail("--result-file: {} is a folder", run_files(o.output).result.string());
    texts = describe(o);
    run = new_run(o, inputs, texts);
  });
  agree_on_work(transport, texts, run, start_of(inputs));
  return inputs;
}

void set_aside(const ShorterRun& shorter, const RunFiles& files) {
  std::error_code ignored;
  if (fs::exists(files.result, ignored) && ResultFile(files.result).origin().config_hash != shorter.config_hash) return;
  // The result last: as long as it is there, a command that was killed in between does the rest when it is given again.
  for (const auto& [path, extension, text] :
       {std::tuple(files.pareto, ".pareto.csv", shorter.pareto), std::tuple(files.result, ".json", shorter.result)}) {
    const std::string name = path.filename().string();
    const fs::path aside =
        fs::path(files.run).replace_extension(fmt::format("{}-episodes{}", shorter.episodes, extension));
    const bool kept = fs::exists(aside, ignored);
    if (fs::exists(path, ignored)) {
      if (kept)
        fail("{} is to become {}, which is there already: move it away", path.string(), aside.filename().string());
      fs::rename(path, aside);
      spdlog::info("{} is that of the shorter run: it is now {}", name, aside.filename().string());
    } else if (!kept && !text.empty()) {
      commit_file(aside, text);
      spdlog::info("{} of the shorter run was lost: it is written again, as {}", name, aside.filename().string());
    }
  }
}

std::optional<ShorterRun> take_place(RunData& run, SearchOptions& o, const Inputs& inputs, const Transport& transport) {
  const RunFiles files = run_files(o.output);
  std::error_code ignored;
  std::optional<ShorterRun> shorter;
  if (fs::exists(files.run, ignored)) {
    const std::string config = run.config;
    run = existing_run(files.run, run, inputs, o.strategy.kind, shorter);
    if (lacks_final_scoring(run)) o.final_scoring = FinalScoring::all;
    else run.config = config;  // how fast and where is this command's
  }
  check_places(files, run, shorter);
  run.data = inputs.data->source;
  run.engine = inputs.scorer->engine_name();
  run.transport = transport.name();
  run.ranks = transport.size();
  run.threads_per_rank = inputs.threads;
  run.command_line = command_line();
  return shorter;
}

}  // namespace triseg
