#include "runner/search_options.hpp"

#include "core/codes.hpp"
#include "core/error.hpp"
#include "network/network.hpp"
#include "learner/strategies/strategies.hpp"
#include "learner/files/result_file.hpp"
#include "runner/option_checks.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <limits>
#include <set>
#include <sstream>

namespace triseg {
namespace {

/// File systems take names of 255 bytes; the temporary files beside the result have longer ones than it.
constexpr std::size_t longest_name = 200;

bool is_text(const CLI::Option& option) { return option.get_type_name().starts_with("TEXT"); }

/// "3e-4" and "0.0003" are the same setting; integers and text stay as they are.
std::string normal_form(const CLI::Option& option, const std::string& text) {
  if (is_text(option) || number_in<std::uint64_t>(text)) return text;
  const auto number = number_in<double>(text);
  return number ? fmt::format("{}", *number) : text;
}

std::string toml_value(const CLI::Option& option, const std::string& value) {
  if (!is_text(option)) return value;
  const char quote = value.find('"') == std::string::npos ? '"' : '\'';
  return quote + value + quote;
}

std::string value_of(const CLI::Option& option) {
  return option.count() > 0 ? CLI::detail::join(option.results(), ",") : option.get_default_str();
}

/// The options of a group by name, in normal form, update-timestep resolved away.
std::map<std::string, std::string> configuration_of(const CLI::App& app, const SearchOptions& o, std::string_view group) {
  std::map<std::string, std::string> configuration;
  for (const CLI::Option* option : app.get_options())
    if (option->get_group() == group && option->get_configurable())
      configuration[option->get_single_name()] = normal_form(*option, value_of(*option));
  configuration.erase("update-timestep");
  if (configuration.contains("episodes-per-update"))
    configuration["episodes-per-update"] = fmt::format("{}", o.episodes_per_update);
  return configuration;
}

/// Shares in 0..1.
std::vector<double> parse_pass_shares(const SearchOptions& o) {
  std::vector<double> shares;
  if (o.pass_shares == "default") return shares;
  if (o.tmax.mode != TmaxMode::search) fail("--pass-shares {}: --tmax-mode {} says what passes: expected --tmax-mode search", o.pass_shares, o.tmax_mode);
  std::istringstream stream(o.pass_shares);
  for (std::string item; std::getline(stream, item, ',');) {
    const auto percent = number_in<double>(item);
    if (!percent || !(*percent >= 0 && *percent <= 100))
      fail("--pass-shares: '{}' in '{}': expected default or percentages from 0 to 100, separated by commas", item, o.pass_shares);
    shares.push_back(*percent / 100);
  }
  if (o.pass_shares.ends_with(',')) fail("--pass-shares: '{}': expected no comma at the end", o.pass_shares);
  if (shares.empty() || shares.size() > 1000) fail("--pass-shares: expected 1 to 1000 shares, found {}", shares.size());
  if (std::set(shares.begin(), shares.end()).size() != shares.size()) fail("--pass-shares: '{}': a share is given twice", o.pass_shares);
  return shares;
}

/// A key of a file for messages: in one line and not too long.
std::string excerpt(const std::string& key) {
  std::string text = key.substr(0, 30);
  std::replace_if(text.begin(), text.end(), [](unsigned char c) { return !std::isprint(c); }, '?');
  return key.size() > text.size() ? text + "..." : text;
}

/// The lines of the TOML file that `option` names; `line` says what one looks like. Throws Error naming option and file.
std::vector<CLI::ConfigItem> read_toml(std::string_view option, const std::string& path, std::string_view line) {
  if (std::filesystem::is_directory(path)) fail("{}: {}: expected a file, found a folder", option, path);
  if (!std::filesystem::exists(path)) fail("{}: {}: no such file", option, path);
  std::vector<CLI::ConfigItem> items;
  try {
    items = CLI::ConfigTOML().from_file(path);
  } catch (const CLI::Error& error) {
    fail("{}: {}: cannot be read as TOML: {}", option, path, error.what());
  }
  const auto is_key = [](const std::string& text) {
    return std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_'; });
  };
  for (const CLI::ConfigItem& item : items) {
    const auto& sections = item.parents;
    if (!std::all_of(sections.begin(), sections.end(), is_key) || (sections.empty() && !is_key(item.name)))
      fail("{}: {}: expected TOML, lines {}, found '{}'", option, path, line, excerpt(item.fullname()));
    if (!sections.empty())
      fail("{}: {}: section [{}]: expected lines {} alone, no sections", option, path, fmt::join(sections, "."), line);
  }
  return items;
}

}  // namespace

void declare_options(CLI::App& app, SearchOptions& o) {
  const CLI::Validator positive = within(1e-12, 1e12), share = within(0.0, 1.0), non_negative = within(0.0, 1e12);
  const auto count = whole;
  const auto results = [&]<class T>(const char* name, T& value, const std::string& description) {
    return add(app, changes_results, name, value, description);
  };
  results("--model", o.model, fmt::format("Network: {}", fmt::join(network_names(), ", ")));
  results("--backend", o.backend, "Quantization scheme: fbgemm (weights per channel, 7-bit activations) or qnnpack");
  results("--data", o.data, "Data set: fashion-mnist, shapes, or a folder of IDX files or CIFAR-10 binary batches");
  app.add_option("--teacher", o.teacher, "Model file of the teacher (default: the shipped one for model, data and backend)")
      ->group(changes_results)->check(not_empty("a model file"));
  results("--sites", o.sites, "Sites to approximate: all, conv, or names separated by commas; the others stay exact");
  results("--seed", o.seed, "Seed of every random number")->check(count(0, std::numeric_limits<std::uint64_t>::max()));
  results("--episodes", o.episodes, "Draws of codes to score")->check(count(1, 1e12));
  auto* per_update = results("--episodes-per-update", o.episodes_per_update, "Episodes of an iteration, on the same images")
                         ->check(count(1, 1e6));
  app.add_option("--update-timestep", o.update_timestep,
                 "The same counted in site decisions, as in the Python original: ceil(N / sites) episodes")
      ->group(changes_results)->check(count(1, 1e9))->excludes(per_update);
  results("--batch-size", o.batch_size, "Images an episode is scored on")->check(count(1, 1e6));
  results("--calib-batches", o.calib_batches, "Batches of images for the histograms")->check(count(1, 1e6));
  results("--kd-T", o.temperature, "Temperature of the distillation term")->check(within(least_temperature, largest_temperature));
  results("--attention-layers", o.attention_layers, "Layers of the attention term: default, none, or names separated by commas");
  results("--attention-weight", o.attention_weight, "Weight of the attention term in the reward")->check(non_negative);
  results("--tmax-mode", o.tmax_mode, "tmax of a site: percentile of its non-zero codes plus offset, fixed, or search: a fifth code");
  results("--objective", o.objective, "accuracy: best reward; with --tmax-mode search also coverage: fewest activations passed through within "
          "--max-acc-drop, and pareto: the trade-off of both");
  results("--pass-shares", o.pass_shares, "With --tmax-mode search: shares of the sites' activations that may pass through [percent], separated by "
          "commas; each is searched for. default: for accuracy that of mode percentile; else 0 and 1/8 to 8 times that");
  results("--tmax-fixed", o.tmax.fixed, "tmax in mode fixed [code]; 255 lets no value pass")->check(count(-1e6, 1e6));
  results("--tmax-percentile", o.tmax.percentile, "Percentile of the non-zero codes")->check(within(0, 100));
  results("--tmax-offset", o.tmax.offset, "Added to the percentile's code [codes]")->check(count(-255, 255));
  results("--strategy", o.strategy, fmt::format("What proposes codes: {}", fmt::join(strategy_names(), ", ")));
  results("--warm-start", o.warm_start, "First draws: around the best analytic start (best), the MSE optimum (mse), tmax*k/5 (init), or cold (none)");
  results("--warm-start-tolerance", o.ppo.width_tolerance,
          "Width of the first draws of ppo and cma-es: the codes within it raise a site's squared error by at most this share")->check(positive);
  results("--lr", o.ppo.learning_rate, "Learning rate of Adam: of the critic, and with --warm-start none of the whole policy")->check(positive);
  results("--mean-rate", o.ppo.mean_rate, "Step of the means of the draws, an epoch [natural gradients]; ppo from a warm start")->check(non_negative);
  results("--width-rate", o.ppo.width_rate, "Step of the widths of the draws, an epoch [natural gradients]; ppo from a warm start")->check(non_negative);
  results("--ppo-epochs", o.ppo.epochs, "Passes of an update over its episodes")->check(count(1, 1000));
  results("--clip", o.ppo.clip, "Clipping of the probability ratio")->check(share);
  results("--gamma", o.ppo.gamma, "Discount over sites")->check(share);
  results("--value-coef", o.ppo.value_coefficient, "Weight of the value loss")->check(non_negative);
  results("--entropy-coef", o.ppo.entropy_coefficient, "Weight of the entropy bonus")->check(non_negative);
  results("--top-k", o.top_k, "Episodes that are scored again on the validation split at the end")->check(count(1, 1e6));
  results("--max-acc-drop", o.max_acc_drop, "Accuracy the selected codes may lose on validation [percentage points]")
      ->check(non_negative);
  results("--eval-every", o.eval_every, "Score the most probable codes on validation every N updates; 0: never")
      ->check(count(0, 1e12));
  app.add_option("--energy-table", o.energy_table, "TOML file of energies for the cost model [pJ] (default: published ones of 45 nm)")
      ->group(changes_results)->check(not_empty("a file"));
  results("--repair", o.repair, repair_description);
  results("--repair-images", o.repair_images, "Images of the search split that repairs are fitted on")->check(count(1, 1e6));

  const auto speed = [&]<class T>(const char* name, T& value, const std::string& description) {
    return add(app, changes_speed, name, value, description);
  };
  app.add_option("--config", "TOML file of these options (names without dashes); the command line has precedence")
      ->group(changes_speed)->configurable(false)->check(not_empty("a file"));
  speed("--out", o.out, "Folder of the results: OUT/tri_ppo_int_codes/NAME.json and NAME.h5")->check(not_empty("a folder"));
  app.add_option("--result-file", o.result_file, "NAME.json, without a folder (default: MODEL.json)")
      ->group(changes_speed)->check(not_empty("a name that ends in .json"));
  speed("--engine", o.engine, "What executes the network: " + engine_choices());
  speed("--transport", o.transport, "What joins the ranks: auto, local, mpi, or nccl between GPUs");
  speed("--rank-timeout", o.rank_timeout, "Seconds after which a rank that does not answer ends all (mpi, nccl)")
      ->check(within(1e-3, 1e8));
  app.add_flag("--dedicated-learner", o.dedicated_learner, "Rank 0 only learns; without it, it scores episodes too")
      ->group(changes_speed);
  speed("--threads", o.threads, "Scoring threads of a rank; 0: the cores it may use, shared among the ranks of its host")
      ->check(count(0, 4096));
  speed("--checkpoint-every", o.checkpoint_every, "Seconds between commits of the run file")->check(non_negative);
  speed("--progress-every", o.progress_every, "Seconds between progress lines where there is no terminal")->check(positive);
}

void apply_config_file(CLI::App& app) {
  const CLI::Option* config = app.get_option("--config");
  if (config->count() == 0) return;
  const std::string path = config->results().back();
  std::set<std::string> keys;
  for (const CLI::ConfigItem& item : read_toml("--config", path, "key = value")) {
    keys.insert(item.name);
    CLI::Option* option = app.get_option_no_throw("--" + item.name);
    if (!option || !option->get_configurable()) fail("--config: {}: unknown key '{}'", path, excerpt(item.name));
    if (option->count() > 0) continue;  // the command line has precedence
    const bool counts_episodes = item.name == "episodes-per-update", counts_decisions = item.name == "update-timestep";
    if (counts_episodes || counts_decisions) {  // two measures of one thing
      if (keys.contains(counts_episodes ? "update-timestep" : "episodes-per-update"))
        fail("--config: {}: expected one of episodes-per-update and update-timestep, found both", path);
      if (app.count(counts_episodes ? "--update-timestep" : "--episodes-per-update") > 0) continue;
    }
    if (item.inputs.size() != 1) fail("--config: {}: key '{}': expected one value, found {}", path, item.name, item.inputs.size());
    try {
      option->add_result(item.inputs.front());
      option->run_callback();
    } catch (const CLI::Error& error) {
      fail("--config: {}: key '{}': {}", path, item.name, error.what());
    }
  }
}

std::set<std::string> given_options(const CLI::App& app) {
  std::set<std::string> names;
  for (const CLI::Option* option : app.get_options())
    if (option->count() > 0) names.insert(option->get_single_name());
  return names;
}

void check_meaning(const SearchOptions& o, const std::set<std::string>& given) {
  const bool fixed = o.tmax.mode == TmaxMode::fixed, ppo = o.strategy == "ppo", cold = o.ppo.warm_start == WarmStart::none;
  const struct {
    bool used;
    std::string needs;
    std::vector<std::string> names;
  } rules[] = {
      {fixed, "--tmax-mode fixed", {"tmax-fixed"}},
      {!fixed, "--tmax-mode percentile or search", {"tmax-percentile", "tmax-offset"}},
      {ppo, "--strategy ppo", {"lr", "ppo-epochs", "clip", "gamma", "value-coef", "entropy-coef"}},
      {ppo && !cold, "--strategy ppo from a warm start", {"mean-rate", "width-rate"}},
      {(ppo && !cold && o.ppo.warm_start != WarmStart::init) || o.strategy == "cma-es",
       "--strategy cma-es, or ppo with --warm-start best or mse", {"warm-start-tolerance"}},
      {o.strategy != "mse", "a strategy that searches", {"warm-start"}},
      {o.repair_mode != RepairMode::none, "--repair layer or channel", {"repair-images"}},
  };
  for (const auto& rule : rules)
    for (const std::string& name : rule.names)
      if (!rule.used && given.contains(name)) fail("--{}: has no effect here: it needs {}", name, rule.needs);
}

void resolve_options(SearchOptions& o) {
  Network network = make_network(o.model);
  parse_scheme(o.backend);
  select_sites(network, o.sites);
  select_attention_layers(network, o.attention_layers);
  if (o.update_timestep > 0) {
    const std::uint64_t sites = network.sites().size();
    o.episodes_per_update = (o.update_timestep + sites - 1) / sites;
  }
  if (o.tmax_mode == "percentile") o.tmax.mode = TmaxMode::percentile;
  else if (o.tmax_mode == "fixed") o.tmax.mode = TmaxMode::fixed;
  else if (o.tmax_mode == "search") o.tmax.mode = TmaxMode::search;
  else fail("--tmax-mode: unknown mode '{}': expected percentile, fixed or search", o.tmax_mode);
  if (o.objective != "accuracy" && o.objective != "coverage" && o.objective != "pareto")
    fail("--objective: unknown objective '{}': expected accuracy, coverage or pareto", o.objective);
  if (o.objective != "accuracy" && o.tmax.mode != TmaxMode::search)
    fail("--objective {}: every tmax is given by --tmax-mode {}, and with it the coverage: expected --tmax-mode search", o.objective, o.tmax_mode);
  o.pass_list = parse_pass_shares(o);
  if (o.tmax.fixed < smallest_tmax || o.tmax.fixed > 255)
    fail("--tmax-fixed: {} admits no legal codes: 1 <= t1 < v1 <= t2 < v2 <= tmax <= 255 needs {} to 255", o.tmax.fixed,
         smallest_tmax);
  if (o.warm_start == "best") o.ppo.warm_start = WarmStart::best;
  else if (o.warm_start == "mse") o.ppo.warm_start = WarmStart::mse;
  else if (o.warm_start == "init") o.ppo.warm_start = WarmStart::init;
  else if (o.warm_start == "none") o.ppo.warm_start = WarmStart::none;
  else fail("--warm-start: unknown start '{}': expected best, mse, init or none", o.warm_start);
  const auto strategies = strategy_names();
  if (std::find(strategies.begin(), strategies.end(), o.strategy) == strategies.end())
    fail("--strategy: unknown strategy '{}': expected {}", o.strategy, fmt::join(strategies, ", "));
  if (o.strategy == "mse") o.ppo.warm_start = WarmStart::mse;  // nothing starts anywhere, so no start is chosen
  if (o.strategy != "ppo" && o.ppo.warm_start == WarmStart::none)
    fail("--warm-start none: only ppo starts cold, not {}: expected best, mse or init", o.strategy);
  const std::size_t shares = !o.pass_list.empty() ? o.pass_list.size() : o.objective == "accuracy" ? 1 : default_share_factors.size();
  const std::uint64_t iterations = (o.episodes + o.episodes_per_update - 1) / o.episodes_per_update;
  if (o.tmax.mode == TmaxMode::search && o.strategy != "mse" && iterations < shares)
    fail("--pass-shares: {} shares need as many iterations, found {} ({} episodes in iterations of {}): raise --episodes or name fewer "
         "shares", shares, iterations, o.episodes, o.episodes_per_update);
  o.repair_mode = parse_repair_mode(o.repair);
  if (o.repair_mode != RepairMode::none && o.tmax.mode == TmaxMode::search)
    fail("--repair {}: a repair is fitted to the start at one tmax: expected --tmax-mode percentile or fixed, or --repair none", o.repair);
  if (o.result_file.empty()) o.result_file = o.model + ".json";
  if (o.result_file.find('/') != std::string::npos)
    fail("--result-file: '{}' has a folder in it: expected a plain name; --out takes the folder", o.result_file);
  if (o.result_file.size() > longest_name)
    fail("--result-file: expected a name of at most {} bytes, found {}", longest_name, o.result_file.size());
  if (!o.result_file.ends_with(".json") || o.result_file.size() == 5 || o.result_file.starts_with('.'))
    fail("--result-file: '{}': expected a name that ends in .json", o.result_file);
}

std::map<std::string, std::string> result_configuration(const CLI::App& app, const SearchOptions& o,
                                                        const std::string& model_sha256, const std::string& data_sha256,
                                                        const EnergyTable& energy) {
  auto configuration = configuration_of(app, o, changes_results);
  configuration["teacher"] = model_sha256;
  configuration["data"] = data_sha256;
  std::vector<std::string> energies;
  for (const auto& [name, member] : energy_names) energies.push_back(fmt::format("{} {}", name, energy.*member));
  configuration["energy-table"] = fmt::format("{}", fmt::join(energies, ", "));
  return configuration;
}

EnergyTable read_energy_table(const std::string& path) {
  EnergyTable table;
  if (path.empty()) return table;
  for (const CLI::ConfigItem& item : read_toml("--energy-table", path, "name = pJ")) {
    const auto known = std::find_if(energy_names.begin(), energy_names.end(), [&](const auto& e) { return item.name == e.first; });
    if (known == energy_names.end()) fail("--energy-table: {}: unknown key '{}'", path, excerpt(item.name));
    const auto energy = item.inputs.size() == 1 ? number_in<double>(item.inputs.front()) : std::nullopt;
    if (!energy || !(*energy >= 1e-12 && *energy <= 1e12))
      fail("--energy-table: {}: key '{}': expected a number of pJ from 1e-12 to 1e+12, found '{}'", path, item.name, fmt::join(item.inputs, ","));
    table.*known->second = *energy;
  }
  return table;
}

std::string configuration_text(const std::map<std::string, std::string>& configuration) {
  std::string text;
  for (const auto& [key, value] : configuration) text += key + "=" + value + "\n";
  return text;
}

std::string configuration_toml(const CLI::App& app, const SearchOptions& o) {
  std::string toml;
  for (const char* group : {changes_results, changes_speed}) {
    toml += fmt::format("# {}\n", group);
    for (const auto& [key, value] : configuration_of(app, o, group))
      if (!value.empty()) toml += key + " = " + toml_value(*app.get_option("--" + key), value) + "\n";
  }
  return toml;
}

std::vector<std::string> differing_keys(const std::string& toml, const CLI::App& app, const SearchOptions& o) {
  std::istringstream stream(toml);
  std::map<std::string, std::string> stored;
  for (const CLI::ConfigItem& item : CLI::ConfigTOML().from_config(stream)) stored[item.name] = CLI::detail::join(item.inputs, ",");
  std::vector<std::string> differing;
  for (const auto& [key, value] : configuration_of(app, o, changes_results))
    if (key != "teacher" && key != "data" && key != "energy-table" && stored[key] != value)
      differing.push_back(fmt::format("--{} ({} instead of {})", key, stored[key], value));
  return differing;
}

}  // namespace triseg
