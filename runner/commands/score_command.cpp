// triseg score: answers requests for scores of codes, line by line, so that foreign searchers can be compared with
// triseg's.
#include "core/error.hpp"
#include "learner/files/result_file.hpp"
#include "core/text.hpp"
#include "learner/image_order.hpp"
#include "learner/judging/selection.hpp"
#include "learner/strategies/starts.hpp"
#include "runner/calibration.hpp"
#include "runner/choose_start.hpp"
#include "runner/commands/commands.hpp"
#include "runner/cli/declare_options.hpp"
#include "runner/cli/help.hpp"
#include "runner/inputs.hpp"
#include "runner/ranks/rollout.hpp"
#include "runner/ranks/transport.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace triseg {
namespace {

using Json = nlohmann::ordered_json;

std::string text_of(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

/// A JSON value for a message, not too long.
std::string excerpt(const Json& value) { return triseg::excerpt(text_of(value)); }

void answer(const Json& json) {
  fmt::print("{}\n", text_of(json));
  if (std::fflush(stdout) != 0) fail("cannot write to standard output: {}", std::strerror(errno));
}

Json four(const Codes& c) { return {c.t1, c.v1, c.t2, c.v2}; }

/// The options of a search that make its problem, or where and how fast it is answered. What else a configuration file
/// says of how to search has no effect here, so that a search's file serves.
struct ScoreOptions {
  ProblemOptions problem;
  IterationOptions iteration;
  StartOptions start;
  SelectionOptions selection;
  EngineOptions engine;
};

/// What a searcher has to know before its first request.
Json describe(const ScoreOptions& o, const Inputs& inputs, const std::vector<SiteData>& sites) {
  Json json = {{"model", inputs.problem->network().name},
               {"model_sha256", inputs.model_sha256},
               {"data_sha256", inputs.data->sha256},
               {"engine", inputs.scorer->engine_name()},
               {"seed", o.iteration.seed},
               {"batch_size", o.iteration.batch_size},
               {"episodes_per_update", o.iteration.episodes_per_update},
               {"attention_weight", o.problem.attention_weight},
               {"top_k", o.selection.top_k},
               {"max_acc_drop", o.selection.max_acc_drop},
               {"sites", Json::array()}};
  for (const Start& start : analytic_starts(*inputs.problem, sites)) {
    Json codes = Json::array();
    for (const Codes& c : start.codes) codes.push_back(four(c));
    json["starts"].push_back({{"name", start.name}, {"codes", codes}});
  }
  for (const SiteData& site : sites)
    json["sites"].push_back({{"name", site.name},
                             {"tmax", site.tmax},
                             {"init", four(site.init)},
                             {"mse", four(site.mse)},
                             {"start", four(site.start)}});
  return json;
}

Codes parse_codes(const Json& json, const SiteData& site, std::size_t candidate) {
  const auto bad = [&](std::string_view expected) {
    fail("codes of candidate {}, site {}: expected {}, found {}", candidate, site.name, expected, excerpt(json));
  };
  if (!json.is_array() || (json.size() != 4 && json.size() != 5)) bad("t1, v1, t2, v2 and perhaps tmax");
  std::uint8_t values[5] = {0, 0, 0, 0, static_cast<std::uint8_t>(site.tmax)};
  for (std::size_t i = 0; i < json.size(); ++i) {
    if (!json[i].is_number_integer() || json[i] < 0 || json[i] > 255) bad("whole numbers 0..255");
    values[i] = json[i].get<std::uint8_t>();
  }
  const Codes codes{values[0], values[1], values[2], values[3], values[4]};
  if (!is_legal(codes))
    fail("codes of candidate {}, site {}: {} are not legal: expected 1 <= t1 < v1 <= t2 < v2 <= tmax", candidate,
         site.name, to_string(codes));
  return codes;
}

std::vector<std::vector<Codes>> parse_candidates(const Json& json, const std::vector<SiteData>& sites) {
  if (!json.is_array() || json.empty()) fail("codes: expected candidates, found {}", excerpt(json));
  std::vector<std::vector<Codes>> candidates;
  for (std::size_t c = 0; c < json.size(); ++c) {
    if (!json[c].is_array() || json[c].size() != sites.size())
      fail("codes of candidate {}: expected those of {} sites, found {}", c, sites.size(), excerpt(json[c]));
    std::vector<Codes>& codes = candidates.emplace_back();
    for (std::size_t i = 0; i < sites.size(); ++i) codes.push_back(parse_codes(json[c][i], sites[i], c));
  }
  return candidates;
}

/// The images that the request names: those of an iteration, as a search with this seed would draw them, or a whole
/// split.
ScoreRequest parse_request(const std::string& line, const IterationOptions& o, const DataSet& data,
                           const std::vector<SiteData>& sites) {
  std::vector<std::set<std::string>> keys;  // of the objects around the place
  const auto visit = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth > deepest_json) fail("expected a line of JSON, found one nested more than {} deep", deepest_json);
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(parsed.get<std::string>()).second)
      fail("the key {} is given twice", excerpt(parsed));
    return true;
  };
  const Json json = Json::parse(line, visit, false);
  if (json.is_discarded()) fail("expected a line of JSON, found {}", excerpt(line));
  if (!json.is_object() || json.size() != 2 || !json.contains("codes") ||
      json.contains("iteration") == json.contains("split"))
    fail("expected the keys \"codes\" and either \"iteration\" or \"split\", found {}", excerpt(json));
  ScoreRequest request;
  if (json.contains("iteration")) {
    const Json& iteration = json["iteration"];
    if (!iteration.is_number_unsigned())
      fail("iteration: expected a whole number from 0, found {}", excerpt(iteration));
    request = {Split::search,
               o.batch_size,
               ImageOrder(data.split_size(Split::search), o.batch_size, o.seed).images(iteration.get<std::uint64_t>()),
               {},
               {},
               {},
               "score"};
  } else {
    const Json& split = json["split"];
    if (split != "validation" && split != "test")
      fail("split: expected \"validation\" or \"test\", found {}", excerpt(split));
    const Split which = parse_split(split.get<std::string>());
    request = image_range(which, split_batch, 0, data.split_size(which), "score");
  }
  request.candidates = parse_candidates(json["codes"], sites);
  return request;
}

/// Columns over the candidates; accuracies [percent] only of a split, where they mean something.
Json columns(const ScoreRequest& request, const std::vector<Score>& scores, double attention_weight) {
  const std::vector<Score> totals = totals_of(scores, request.candidates.size());
  Json json = {{"reward", Json::array()}, {"kd", Json::array()}, {"attention", Json::array()}};
  for (const Score& total : totals) {
    json["reward"].push_back(reward(total, attention_weight));
    json["kd"].push_back(total.mean_kd());
    json["attention"].push_back(total.mean_attention());
    if (request.split == Split::search) continue;
    json["teacher_accuracy"].push_back(total.teacher_accuracy());
    json["student_accuracy"].push_back(total.student_accuracy());
    json["accuracy_drop"].push_back(accuracy_drop(total));
  }
  json["images"] = totals.front().images;
  return json;
}

int run_score(CLI::App& app, ScoreOptions& o) {
  spdlog::set_level(spdlog::level::warn);  // answers alone
  const auto given = given_options(app);
  const auto passed_over = apply_config_file(app);
  if (const auto repair = passed_over.find("repair");
      repair != passed_over.end() && repair->second != name_of(repair_modes, RepairMode::none))
    fail("--repair {}: score repairs no candidate: expected none", repair->second);
  SearchOptions search;  // whose problem it is
  search.problem = o.problem;
  search.iteration = o.iteration;
  search.strategy.start = o.start;
  check_options(search, given);
  if (o.iteration.tmax.mode == TmaxMode::search)
    fail(
        "--tmax-mode search: score describes a problem of given tmax: expected percentile or fixed; a fifth code of a "
        "site is its tmax");
  const auto transport = make_local_transport();
  const Inputs inputs = InputsCache().load(o.problem, o.iteration, {}, o.engine, *transport);
  complete_options(o.iteration, *inputs.problem);
  Rollout rollout(*transport, *inputs.scorer, false);
  auto sites = calibrate(rollout, *inputs.problem, o.iteration);
  const std::uint64_t start_images = choose_starts(rollout, *inputs.problem, o.iteration, o.start.warm_start,
                                                   o.problem.attention_weight, std::array{&sites});
  Json problem = describe(o, inputs, sites);
  problem["start_images"] = start_images;
  answer(problem);
  for (std::string line; std::getline(std::cin, line);) {
    ScoreRequest request;
    try {
      request = parse_request(line, o.iteration, *inputs.data, sites);
    } catch (const Error& error) {
      answer({{"error", valid_utf8(error.what())}});
      continue;
    }
    answer(columns(request, rollout.score(request), o.problem.attention_weight));
  }
  return 0;
}

}  // namespace

void setup_score(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<ScoreOptions>();
  CLI::App* app = program.add_subcommand(
      "score",
      "Score the codes of a foreign searcher: requests on standard input, answers on standard output, JSON lines");
  declare_problem(*app, options->problem);
  declare_iteration(*app, options->iteration);
  declare_start(*app, options->start);
  declare_selection(*app, options->selection);
  declare_config(*app);
  declare_engine(*app, options->engine);
  arrange_help(*app, {{"Problem", {"--config", "--model", "--backend", "--data", "--teacher", "--sites"}},
                      {"Reward", {"--kd-T", "--attention-layers", "--attention-weight", "--max-acc-drop"}},
                      {"Where staircases end", {"--tmax-mode", "--tmax-percentile", "--tmax-offset", "--tmax-fixed"}},
                      {"Start and images",
                       {"--warm-start", "--batch-size", "--calib-batches", "--seed", "--episodes-per-update",
                        "--update-timestep", "--top-k"}},
                      {"Running", {"--engine", "--threads"}}});
  app->callback([=, &exit_code] { exit_code = run_score(*app, *options); });
}

}  // namespace triseg
