#include "runner/cli/declare_options.hpp"

#include "core/codes.hpp"
#include "core/error.hpp"
#include "data/dataset.hpp"
#include "learner/files/result_file.hpp"
#include "network/recipes.hpp"
#include "runner/options/command_line.hpp"
#include "runner/cli/help.hpp"
#include "runner/cli/option_checks.hpp"
#include "runner/options/shipped_files.hpp"
#include "core/toml_file.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <map>
#include <sstream>

namespace triseg {
namespace {

constexpr std::uint64_t any_seed = std::numeric_limits<std::uint64_t>::max();

const CLI::Validator positive = within(1e-12, 1e12), share = within(0.0, 1.0), non_negative = within(0.0, 1e12);

template <class T>
CLI::Option* results(CLI::App& app, const char* name, T& value, const std::string& description) {
  return add(app, changes_results, name, value, description);
}

template <class T>
CLI::Option* speed(CLI::App& app, const char* name, T& value, const std::string& description) {
  return add(app, changes_speed, name, value, description);
}

bool is_text(const CLI::Option& option) {
  return option.get_type_name() == "TEXT" || option.get_type_name() == list_type;
}
bool is_flag(const CLI::Option& option) { return option.get_expected_max() == 0; }

/// "3e-4" and "0.0003" are the same setting; integers and text stay as they are.
std::string normal_form(const CLI::Option& option, const std::string& text) {
  if (is_text(option) || number_in<std::uint64_t>(text)) return text;
  const auto number = number_in<double>(text);
  return number ? fmt::format("{}", *number) : text;
}

/// A value as it stands in a TOML file. Whole numbers beyond TOML's are texts.
std::string toml_value(const CLI::Option& option, const std::string& value) {
  const bool fits = !number_in<std::uint64_t>(value) || number_in<std::int64_t>(value);
  return is_text(option) || !fits ? toml_string(value) : value;
}

std::string value_of(const CLI::Option& option) {
  return option.count() > 0 ? CLI::detail::join(option.results(), ",") : option.get_default_str();
}

/// The options of a group by name, in normal form.
std::map<std::string, std::string> values_of(const CLI::App& app, std::string_view group) {
  std::map<std::string, std::string> values;
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group() != group || !option->get_configurable()) continue;
    values[option->get_single_name()] = normal_form(*option, value_of(*option));
  }
  return values;
}

/// The same with update-timestep resolved away, and what follows from the network filled in.
std::map<std::string, std::string> configuration_of(const CLI::App& app, const SearchOptions& o,
                                                    std::string_view group) {
  auto configuration = values_of(app, group);
  configuration.erase("update-timestep");
  if (configuration.contains("model")) configuration["model"] = o.problem.model;
  if (configuration.contains("backend"))
    configuration["backend"] = scheme_name(o.problem.backend.value_or(Scheme::fbgemm));
  if (configuration.contains("final-scoring"))
    configuration["final-scoring"] = name_of(final_scorings, o.final_scoring);
  if (configuration.contains("episodes")) configuration["episodes"] = fmt::format("{}", o.episodes);  // of --finish
  if (configuration.contains("episodes-per-update"))
    configuration["episodes-per-update"] = fmt::format("{}", o.iteration.episodes_per_update);
  return configuration;
}

/// Shares in 0..1 of percentages separated by commas; none for "default".
std::vector<double> parse_pass_shares(const std::string& text) {
  const auto bad = [](const std::string& what) { throw CLI::ValidationError("--pass-shares", what); };
  std::vector<double> shares;
  if (text == "default") return shares;
  std::istringstream stream(text);
  for (std::string item; std::getline(stream, item, ',');) {
    const auto percent = number_in<double>(item);
    if (!percent || !(*percent >= 0 && *percent <= 100))
      bad(fmt::format("'{}' in '{}': expected default or percentages from 0 to 100, separated by commas", item, text));
    shares.push_back(*percent / 100);
  }
  if (text.ends_with(',')) bad(fmt::format("'{}': expected no comma at the end", text));
  if (shares.empty() || shares.size() > 1000) bad(fmt::format("expected 1 to 1000 shares, found {}", shares.size()));
  if (std::set(shares.begin(), shares.end()).size() != shares.size())
    bad(fmt::format("'{}': a share is given twice", text));
  return shares;
}

std::vector<std::string> names_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options())
    if (option->get_configurable()) names.push_back(option->get_single_name());
  return names;
}

/// What is wrong with an entry as the value of an option, or "".
std::string wrong_kind(const CLI::Option& option, const TomlEntry& entry) {
  using Type = TomlEntry::Type;
  const auto all = [&](auto... types) {
    return std::all_of(entry.types.begin(), entry.types.end(), [&](Type type) { return ((type == types) || ...); });
  };
  const std::string kind = option.get_type_name();
  if (kind == list_type)
    return all(Type::text, Type::integer, Type::real) && !entry.texts.empty()
               ? ""
               : "expected a text or a list of texts or numbers";
  if (entry.list) return "expected one value";
  if (is_flag(option)) return all(Type::boolean) ? "" : "expected true or false";
  if (kind == "TEXT") return all(Type::text) ? "" : "expected a text in quotes";
  const bool long_number =
      all(Type::text) && number_in<std::uint64_t>(entry.texts.front()) && !number_in<std::int64_t>(entry.texts.front());
  if (kind == "FLOAT") return all(Type::integer, Type::real) && !long_number ? "" : "expected a number";
  return all(Type::integer) || long_number ? "" : "expected a whole number";
}

}  // namespace

void declare_problem(CLI::App& app, ProblemOptions& o) {
  app.add_option("--model", o.model, "Network (default: the teacher's, or alexnet)")
      ->group(changes_results)
      ->check(offers(recipe_names()))
      ->check(not_empty("a network"));
  app.add_option_function<std::string>(
         "--backend", [&o](const std::string& text) { o.backend = parse_scheme(text); },
         "Quantization: fbgemm or qnnpack (default: the teacher's, or fbgemm)")
      ->group(changes_results)
      ->check(offers(scheme_names))
      ->check(CLI::Validator(
          [](std::string& text) {
            return text == "fbgemm" || text == "qnnpack"
                       ? ""
                       : fmt::format("unknown backend '{}': expected fbgemm or qnnpack", text);
          },
          ""));
  results(app, "--data", o.data, "fashion-mnist, shapes, an HDF5 file, a folder of IDX or CIFAR's")
      ->check(offers(data_names))
      ->check(path_text("a data set or a folder"));
  app.add_option("--teacher", o.teacher, "Model file (default: that shipped for model, data and backend)")
      ->group(changes_results)
      ->check(path_text("a model file"));
  results(app, "--sites", o.sites, "Sites: all, or names, kinds (conv, fc, add), conv*; -conv1: but it")
      ->check(offers({"all", "conv"}))
      ->type_name(list_type);
  results(app, "--kd-T", o.temperature, "Temperature of the distillation term")
      ->check(within(least_temperature, largest_temperature));
  results(app, "--attention-layers", o.attention_layers,
          "Layers of the attention term: default, none, or names with commas")
      ->check(offers({"default", "none"}))
      ->type_name(list_type);
  results(app, "--attention-weight", o.attention_weight, "Weight of the attention term in the reward")
      ->check(non_negative);
}

void declare_iteration(CLI::App& app, IterationOptions& o) {
  results(app, "--seed", o.seed, "Seed of every random number")->check(whole(0, any_seed));
  auto* per_update =
      results(app, "--episodes-per-update", o.episodes_per_update, "Episodes of an iteration, on the same images")
          ->check(whole(1, 1'000'000));
  app.add_option("--update-timestep", o.update_timestep,
                 "The same counted in site decisions, as in the Python original: ceil(N / sites) episodes")
      ->group(changes_results)
      ->check(whole(1, 1'000'000'000))
      ->excludes(per_update);
  results(app, "--batch-size", o.batch_size, "Images an episode is scored on")->check(whole(1, 1'000'000));
  results(app, "--calib-batches", o.calib_batches, "Batches of images for the histograms")->check(whole(1, 1'000'000));
  add_choice(app, changes_results, "--tmax-mode", o.tmax.mode, tmax_modes,
             "A site's tmax: percentile of its codes, fixed, or search");
  results(app, "--tmax-fixed", o.tmax.fixed, "tmax in mode fixed [code]; 255 lets no value pass")
      ->check(whole(smallest_tmax, 255));
  results(app, "--tmax-percentile", o.tmax.percentile, "Percentile of the codes that are not 0")->check(within(0, 100));
  results(app, "--tmax-offset", o.tmax.offset, "Added to the percentile's code [codes]")->check(whole(-255, 255));
}

void declare_start(CLI::App& app, StartOptions& o) {
  add_choice(app, changes_results, "--warm-start", o.warm_start, warm_starts,
             "First draws: around the best analytic start (best), the MSE optimum (mse), tmax*k/5 (init), or none");
}

void declare_strategy(CLI::App& app, StrategyOptions& o) {
  add_choice(app, changes_results, "--strategy", o.kind, strategy_names,
             "ppo, cma-es, coordinate, random; mse, which searches nothing; ste, which follows gradients and needs "
             "triseg-train");
  results(app, "--warm-start-tolerance", o.start.width_tolerance,
          "Width of the first draws of ppo and cma-es, and of the steps of ste: the codes within it raise a site's "
          "squared error by at most this share")
      ->check(positive);
  results(app, "--lr", o.ppo.learning_rate, "Learning rate of the critic; --warm-start none: of the policy, too")
      ->check(positive);
  results(app, "--mean-rate", o.ppo.mean_rate,
          "Step of the means of the draws, an epoch [natural gradients]; ppo from a warm start")
      ->check(non_negative);
  results(app, "--width-rate", o.ppo.width_rate,
          "Step of the widths of the draws, an epoch [natural gradients]; ppo from a warm start")
      ->check(non_negative);
  results(app, "--ppo-epochs", o.ppo.epochs, "Passes of an update over its episodes")->check(whole(1, 1000));
  results(app, "--clip", o.ppo.clip, "Clipping of the probability ratio")->check(within(1e-12, 1.0));
  results(app, "--gamma", o.ppo.gamma, "Discount over sites")->check(share);
  results(app, "--value-coef", o.ppo.value_coefficient, "Weight of the value loss")->check(non_negative);
  results(app, "--entropy-coef", o.ppo.entropy_coefficient, "Weight of the entropy bonus")->check(non_negative);
  results(
      app, "--lag", o.ppo.lag,
      "Iterations that draws of ppo are behind: 0, or 1, so that it learns from the last one while the next is scored")
      ->check(whole(0, 1));
  results(app, "--ste-rate", o.ste.rate, "Learning rate of ste, in widths of the start's codes")->check(positive);
  results(app, "--ste-smoothing", o.ste.smoothing,
          "Width of a jump of a staircase for the gradients of ste, in heights of the jump, at least half a code")
      ->check(within(0, 1e3));
}

void declare_objective(CLI::App& app, ObjectiveOptions& o) {
  add_choice(app, changes_results, "--objective", o.objective, objectives,
             "accuracy; with --tmax-mode search also coverage: fewest activations passed through, and pareto: the "
             "trade-off of both");
  app.add_option_function<std::string>(
         "--pass-shares", [&o](const std::string& text) { o.pass_shares = parse_pass_shares(text); },
         "With --tmax-mode search: shares of the sites' activations that may pass through [percent], separated by "
         "commas; each is "
         "searched for. default: for accuracy that of mode percentile; else 0 and 1/8 to 8 times that")
      ->group(changes_results)
      ->default_str("default")
      ->type_name(list_type);
  results(app, "--eval-every", o.eval_every, "Score the most probable codes on validation every N updates; 0: never")
      ->check(whole(0, 1'000'000'000'000));
  app.add_option("--energy-table", o.energy_table,
                 "TOML file of energies for the cost model [pJ] (default: published ones of 45 nm)")
      ->group(changes_results)
      ->check(path_text("a file"));
}

void declare_selection(CLI::App& app, SelectionOptions& o) {
  results(app, "--top-k", o.top_k, "Episodes that are scored again on the validation split")
      ->check(whole(1, 1'000'000));
  results(app, "--max-acc-drop", o.max_acc_drop, "Accuracy the selected codes may lose [percentage points]")
      ->check(non_negative);
}

void declare_moment_repair(CLI::App& app, MomentRepairOptions& o) {
  add_choice(app, changes_results, "--repair", o.mode, repair_modes, repair_description);
  results(app, "--repair-images", o.images, "Images of the search split that repairs are fitted on")
      ->check(whole(1, 1'000'000));
}

void declare_engine(CLI::App& app, EngineOptions& o) {
  add_engine(app, o.engine, "What executes the network");
  speed(app, "--threads", o.threads, "Scoring threads of a rank; 0: its part of the cores it may use")
      ->check(whole(0, 4096));
}

void declare_ranks(CLI::App& app, RankOptions& o) {
  add_choice(app, changes_speed, "--transport", o.transport, transport_names,
             "What joins the ranks: auto (mpi under a launcher), local, mpi, nccl");
  speed(app, "--rank-timeout", o.rank_timeout, "Seconds after which a rank that does not answer ends the search")
      ->check(within(1e-3, 1e8));
  add_flag(app, changes_speed, "--dedicated-learner", o.dedicated_learner,
           "Rank 0 only learns; without it, it scores episodes too");
}

void declare_output(CLI::App& app, OutputOptions& o) {
  speed(app, "--out", o.out, "Folder: OUT/tri_ppo_int_codes/NAME.json and NAME.h5")->check(path_text("a folder"));
  app.add_option("--result-file", o.result_file, "NAME.json, without a folder (default: MODEL.json)")
      ->group(changes_speed)
      ->check(path_text("a name that ends in .json"));
  speed(app, "--checkpoint-every", o.checkpoint_every, "Seconds between commits of the run file")->check(non_negative);
  speed(app, "--time-limit", o.time_limit, "Seconds until it stops as by a signal, exit code 85; 0: none")
      ->check(non_negative);
  speed(app, "--progress-every", o.progress_every, "Seconds between progress lines where there is no terminal")
      ->check(positive);
  add_flag(app, changes_speed, "--quiet", o.quiet, "Only warnings and errors on standard error");
  app.add_option("--log-json", o.log_json,
                 "Append the log to this file, too, a JSON object a line, with an event for each iteration")
      ->group(changes_speed)
      ->check(path_text("a file"));
}

void declare_config(CLI::App& app) {
  app.add_option("--config", "TOML file of these options; the command line has precedence")
      ->type_name("TEXT")
      ->expected(1)
      ->group(changes_speed)
      ->configurable(false)
      ->check(offers(shipped_configurations()))
      ->check(path_text("a file"));
}

void declare_search(CLI::App& app, SearchOptions& o) {
  declare_problem(app, o.problem);
  declare_iteration(app, o.iteration);
  results(app, "--episodes", o.episodes, "Draws of codes to score")->check(whole(1, 1'000'000'000'000));
  app.add_option("--start", o.start, "Result file whose codes, tmax and repair are the start")
      ->group(changes_results)
      ->check(path_text("a result file"));
  declare_start(app, o.strategy.start);
  declare_strategy(app, o.strategy);
  declare_objective(app, o.objective);
  declare_selection(app, o.selection);
  add_choice(app, changes_results, "--final-scoring", o.final_scoring, final_scorings,
             "race: candidates that cannot be selected any more are scored on no more images; all: all on all images, "
             "as with every --objective but accuracy");
  declare_moment_repair(app, o.repair);
  declare_config(app);
  declare_output(app, o.output);
  declare_engine(app, o.engine);
  declare_ranks(app, o.ranks);
}

void arrange_search_help(CLI::App& app) {
  arrange_help(
      app,
      {{"Problem", {"--model", "--backend", "--data", "--teacher", "--sites"}},
       {"Search", {"--config", "--episodes", "--batch-size", "--seed"}},
       {"Reward", {"--kd-T", "--attention-weight"}},
       {"Where staircases end", {"--tmax-mode", "--tmax-percentile", "--tmax-offset"}},
       {"What proposes codes", {"--strategy", "--start", "--warm-start", "--lr", "--repair"}},
       {"What is selected", {"--objective", "--top-k", "--max-acc-drop"}},
       {"Running",
        {"--out", "--result-file", "--engine", "--threads", "--transport", "--time-limit", "--finish", "--quiet"}}});
}

std::set<std::string> given_options(const CLI::App& app) {
  std::set<std::string> names;
  for (const CLI::Option* option : app.get_options())
    if (option->count() > 0) names.insert(option->get_single_name());
  return names;
}

std::map<std::string, std::string> apply_config_file(CLI::App& app) {
  const CLI::Option* config = app.get_option("--config");
  if (config->count() == 0) return {};
  const std::string path = or_shipped(config->results().back());
  return apply_entries(app, read_toml("--config", path, "key = value"), "--config: " + path);
}

std::map<std::string, std::string> apply_entries(CLI::App& app, const std::vector<TomlEntry>& entries,
                                                 const std::string& place) {
  std::map<std::string, std::string> passed_over;
  CLI::App whole_search;
  SearchOptions unused;
  declare_search(whole_search, unused);
  std::set<std::string> keys;
  for (const TomlEntry& entry : entries) {
    keys.insert(entry.key);
    const auto bad = [&](std::string_view what) { fail("{}: key '{}': {}", place, entry.key, what); };
    const CLI::Option* known =
        entry.key.starts_with('-') ? nullptr : whole_search.get_option_no_throw("--" + entry.key);
    if (!known || !known->get_configurable() || known->get_single_name() != entry.key || entry.key == "help")
      fail("{}: unknown key '{}':{} triseg search --help-all lists them", place, entry.key,
           did_you_mean(entry.key, names_of(whole_search)));
    if (const std::string wrong = wrong_kind(*known, entry); !wrong.empty())
      bad(fmt::format("{}, found {}", wrong, entry.described()));
    CLI::Option* option = app.get_option_no_throw("--" + entry.key);
    if (!option) passed_over[entry.key] = entry.joined();
    if (!option || option->count() > 0) continue;  // the command line has precedence
    const bool counts_episodes = entry.key == "episodes-per-update", counts_decisions = entry.key == "update-timestep";
    if (counts_episodes || counts_decisions) {  // two measures of one thing
      if (keys.contains(counts_episodes ? "update-timestep" : "episodes-per-update"))
        fail("{}: expected one of episodes-per-update and update-timestep, found both", place);
      if (app.count(counts_episodes ? "--update-timestep" : "--episodes-per-update") > 0) continue;
    }
    try {
      option->add_result(entry.joined());
      option->run_callback();
    } catch (const CLI::Error& error) {
      bad(error.what());
    }
  }
  return passed_over;
}

std::string needed_by(const std::string& name, const SearchOptions& o) {
  const WarmStart warm_start = o.strategy.start.warm_start;
  const TmaxMode tmax_mode = o.iteration.tmax.mode;
  const bool fixed = tmax_mode == TmaxMode::fixed;
  const bool ppo = o.strategy.kind == StrategyKind::ppo, cold = warm_start == WarmStart::none;
  const bool ste = o.strategy.kind == StrategyKind::ste;
  const struct {
    bool used;
    std::string needs;
    std::vector<std::string> names;
  } rules[] = {
      {o.start.empty(), "a search without --start", {"warm-start", "tmax-fixed", "tmax-percentile", "tmax-offset"}},
      {fixed, "--tmax-mode fixed", {"tmax-fixed"}},
      {!fixed, "--tmax-mode percentile or search", {"tmax-percentile", "tmax-offset"}},
      {ppo, "--strategy ppo", {"lr", "ppo-epochs", "clip", "gamma", "value-coef", "entropy-coef", "lag"}},
      {ppo && !cold, "--strategy ppo from a warm start", {"mean-rate", "width-rate"}},
      {ste, "--strategy ste", {"ste-rate", "ste-smoothing"}},
      {(ppo && !cold && warm_start != WarmStart::init) || o.strategy.kind == StrategyKind::cma_es || ste,
       "--strategy cma-es or ste, or ppo with --warm-start best or mse",
       {"warm-start-tolerance"}},
      {o.strategy.kind != StrategyKind::mse, "a strategy that searches", {"warm-start"}},
      {o.repair.mode != RepairMode::none || !o.start.empty(), "--repair layer or channel", {"repair-images"}},
  };
  for (const auto& rule : rules)
    if (!rule.used && std::find(rule.names.begin(), rule.names.end(), name) != rule.names.end()) return rule.needs;
  return "";
}

/// Throws Error for what does not go with --start, which says where sites begin and end.
void check_start(const SearchOptions& o) {
  if (o.start.empty()) return;
  if (o.iteration.tmax.mode == TmaxMode::search)
    fail("--start: its codes have a tmax, which --tmax-mode search looks for: expected percentile or fixed");
  if (o.strategy.kind == StrategyKind::mse) fail("--start: --strategy mse does not search, so it takes no start");
}

void check_options(const SearchOptions& o, const std::set<std::string>& given) {
  check_start(o);
  for (const std::string& name : given)
    if (const std::string needs = needed_by(name, o); !needs.empty())
      fail("--{}: has no effect here: it needs {}", name, needs);

  const TmaxMode tmax_mode = o.iteration.tmax.mode;
  const bool searched = tmax_mode == TmaxMode::search, ppo = o.strategy.kind == StrategyKind::ppo;
  const bool cold = o.strategy.start.warm_start == WarmStart::none;
  const std::string_view mode = name_of(tmax_modes, tmax_mode);
  if (o.objective.objective != Objective::accuracy && !searched)
    fail("--objective {}: every tmax is given by --tmax-mode {}, and with it the coverage: expected --tmax-mode search",
         name_of(objectives, o.objective.objective), mode);
  if (o.objective.objective != Objective::accuracy && given.contains("final-scoring") &&
      o.final_scoring == FinalScoring::race)
    fail("--final-scoring race: it is for the best reward, and --objective {} compares more: expected all",
         name_of(objectives, o.objective.objective));
  if (!o.objective.pass_shares.empty() && !searched)
    fail("--pass-shares: --tmax-mode {} says what passes: expected --tmax-mode search", mode);
  if (!ppo && o.strategy.kind != StrategyKind::mse && cold)
    fail("--warm-start none: only ppo starts cold, not {}: expected best, mse or init",
         name_of(strategy_names, o.strategy.kind));
  if (o.strategy.ppo.lag > 0 && !ppo)
    fail("--lag {}: {} learns from an iteration before it draws the next: expected --strategy ppo, or --lag 0",
         o.strategy.ppo.lag, name_of(strategy_names, o.strategy.kind));
  if (o.strategy.ppo.lag > 0 && searched)
    fail(
        "--lag {}: a search for tmax learns from an iteration before it draws the next: expected "
        "--tmax-mode percentile or fixed, or --lag 0",
        o.strategy.ppo.lag);
  if (const std::uint64_t least = budget_of_an_episode(o.strategy.kind); o.episodes < least)
    fail("--episodes {}: an episode of {} is {} steps of gradient and one scoring: expected at least {}", o.episodes,
         name_of(strategy_names, o.strategy.kind), ste_steps, least);
  if (o.repair.mode != RepairMode::none && searched)
    fail(
        "--repair {}: a repair is fitted to the start at one tmax: expected --tmax-mode percentile or fixed, or "
        "--repair none",
        name_of(repair_modes, o.repair.mode));
  const std::string& name = o.output.result_file;
  if (name.find('/') != std::string::npos)
    fail("--result-file: '{}' has a folder in it: expected a plain name; --out takes the folder", name);
  check_name_length("--result-file", name);
  if (!name.empty() && (!name.ends_with(".json") || name.size() == 5 || name.starts_with('.')))
    fail("--result-file: '{}': expected a name that ends in .json", name);
}

namespace {

/// The value of an option that names a file or folder, from any working directory.
std::string placed(const std::string& key, const std::string& value) {
  if (key == "data") return data_set_source(value);
  if (key != "teacher" && key != "start" && key != "energy-table") return value;
  return std::filesystem::absolute(value).lexically_normal().string();
}

}  // namespace

std::string result_options_text(const CLI::App& app) {
  auto values = values_of(app, changes_results);
  if (values.at("objective") != name_of(objectives, Objective::accuracy))
    values["final-scoring"] = name_of(final_scorings, FinalScoring::all);  // as complete_options has it
  std::string text;
  for (const auto& [name, value] : values)
    if (!as_before(name, value)) text += name + "=" + value + "\n";
  return text;
}

OptionTexts option_texts(const CLI::App& app, const SearchOptions& o) {
  OptionTexts texts;
  for (const char* group : {changes_results, changes_speed}) {
    texts.toml += fmt::format("# {}\n", group);
    for (const auto& [key, value] : configuration_of(app, o, group)) {
      if (!value.empty())
        texts.toml += key + " = " + toml_value(*app.get_option("--" + key), placed(key, value)) + "\n";
      (group == changes_results ? texts.results : texts.others).emplace_back(key, value);
    }
  }
  return texts;
}

}  // namespace triseg
