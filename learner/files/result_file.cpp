#include "learner/files/result_file.hpp"

#include "core/atomic_file.hpp"
#include "core/error.hpp"
#include "core/text.hpp"
#include "learner/judging/confidence.hpp"
#include "learner/judging/cost_model.hpp"
#include "learner/judging/repair.hpp"
#include "learner/judging/selection.hpp"
#include "network/recipes.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <string_view>
#include <utility>

namespace triseg {
namespace {

using Json = nlohmann::ordered_json;

/// "t1_code": the name of a code in the file.
std::string code_key(std::string_view name) { return fmt::format("{}_code", name); }

Json pair(Interval interval) { return {interval.low, interval.high}; }

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

/// Parses a file's text, refusing repeated keys, of which the parser would keep the last.
Json parse(const std::filesystem::path& path, const std::string& text) {
  std::vector<std::set<std::string>> keys;
  const auto visit = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth > deepest_json) fail("{}: nested more than {} deep", path.string(), deepest_json);
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(parsed.get<std::string>()).second)
      fail("{}: the key '{}' is given twice", path.string(), parsed.get<std::string>());
    return true;
  };
  try {
    return Json::parse(text, visit);
  } catch (const Json::parse_error& error) {
    fail("{}: expected JSON, found a syntax error at byte {}", path.string(), error.byte);
  } catch (const Json::out_of_range&) {
    fail("{}: expected JSON, found a number beyond the range of double", path.string());
  }
}

/// A JSON value for a message, in one line and not too long.
std::string excerpt(const Json& value) {
  return triseg::excerpt(value.dump(-1, ' ', true, Json::error_handler_t::replace));
}

Json repair_json(const std::string& mode, std::span<const LayerRepair> layers) {
  Json json = {{"mode", mode}};
  for (const LayerRepair& layer : layers)
    json["layers"][layer.layer] = {{"multiplier", layer.requantization.multiplier},
                                   {"bias", layer.requantization.bias}};
  return json;
}

/// What the test split says of a student, beside validation. attention_weight: of the reward, if there is one.
Json metrics_json(const Score& test, const Score& validation, std::optional<double> attention_weight) {
  const Gap gap = validation_gap(validation, test, attention_weight.value_or(0));
  Json gaps = {{"kd", gap.kd}, {"acc_student", gap.student_accuracy}, {"acc_drop", gap.accuracy_drop}};
  if (attention_weight) gaps["reward"] = gap.reward;
  return {
      {"acc_teacher", test.teacher_accuracy()},
      {"acc_student", test.student_accuracy()},
      {"acc_drop", accuracy_drop(test)},
      {"acc_teacher_95", pair(wilson_95(test.both_right + test.teacher_only, test.images))},
      {"acc_student_95", pair(wilson_95(test.both_right + test.student_only, test.images))},
      {"acc_drop_95", pair(drop_95(test))},
      {"mcnemar_p", mcnemar_p(test)},
      {"gap", gaps},
      {"kd", test.mean_kd()},
      {"attention", test.mean_attention()},
      {"images", test.images},
  };
}

Json validation_json(const Score& score, double passed) {
  return {
      {"images", score.images}, {"acc_student", score.student_accuracy()}, {"kd", score.mean_kd()}, {"passed", passed}};
}

void make_strings_valid(Json& json) {
  if (json.is_string()) json = valid_utf8(json.get_ref<const std::string&>());
  if (json.is_structured())
    for (Json& item : json) make_strings_valid(item);
}

std::string text_of_json(Json json) {
  make_strings_valid(json);
  return json.dump(2) + "\n";
}

void commit_json(const std::filesystem::path& path, const Json& json) { commit_file(path, text_of_json(json)); }

/// A candidate of /top that was chosen, and what validation says of it. within_max_acc_drop: if that was part of the
/// choice.
Json selected_json(const RunData& run, std::size_t top_index, std::optional<bool> within_max_acc_drop) {
  const Candidate& chosen = run.top[top_index];
  const Score& validation = chosen.validation;
  Json selected = {{"split", "validation"}, {"candidates", run.top.size()}, {"origin", chosen.origin}};
  if (chosen.origin == "episode") selected["episode"] = chosen.episode;
  if (within_max_acc_drop) selected["within_max_acc_drop"] = *within_max_acc_drop;
  selected["images"] = validation.images;
  selected["acc_teacher"] = validation.teacher_accuracy();
  selected["acc_student"] = validation.student_accuracy();
  selected["kd"] = validation.mean_kd();
  const Difference to_best =
      reward_difference(chosen.record_rewards, run.top.front().record_rewards, validation.images);
  selected["difference_to_best"] = to_best.mean;
  selected["difference_to_best_error"] = to_best.error;
  selected["within_error_of_best"] = count_within_error(run.top);
  return selected;
}

/// The result file of codes (sites). selection: how they were chosen. metrics: those of the test split, or null.
Json result_json(const RunData& run, std::span<const Codes> codes, std::span<const LayerRepair> repair,
                 const std::string& selection, const Json& selected, const Json& metrics) {
  Json layers = Json::object();
  for (std::size_t i = 0; i < run.sites.size(); ++i) {
    Json& site = layers[run.sites[i].name];
    for (const auto& [name, member] : code_members) site[code_key(name)] = codes[i].*member;
    site["record_key"] = run.sites[i].record_key;
  }
  const NetworkCost cost = network_cost(run.network, run.sites, codes, run.energy);
  const Json costs = {{"coverage", cost.coverage},
                      {"entropy_bits", cost.entropy_bits},
                      {"coded_bits", cost.coded_bits},
                      {"multiplications", cost.multiplications},
                      {"skipped", cost.skipped},
                      {"constant", cost.constant},
                      {"energy_pj", cost.energy.staircase},
                      {"energy_exact_pj", cost.energy.exact},
                      {"energy_exact_skipping_pj", cost.energy.exact_skipping}};
  const std::string attention =
      run.attention_layers.empty() ? "none" : fmt::format("{}", fmt::join(run.attention_layers, ","));
  Json result = {{"layers", layers},
                 {"backend", run.backend},
                 {"model", run.network.name},
                 {"selection", selection},
                 {"selected", selected},
                 {"metrics", metrics},
                 {"cost", costs},
                 {"data", run.data},
                 {"data_sha256", run.data_sha256},
                 {"seed", run.seed},
                 {"episodes", run.episodes.size()},
                 {"student_images", run.student_images},
                 {"model_sha256", run.model_sha256},
                 {"config_hash", run.config_hash},
                 {"temperature", run.temperature},
                 {"attention_layers", attention},
                 {"repair", repair_json(run.repair, repair)}};
  if (metrics.is_null()) result.erase("metrics");
  return result;
}

/// The repair of the search's students, of a run that need not be finished.
std::vector<LayerRepair> search_repair(const RunData& run) {
  Problem problem;
  problem.model.network = run.network;
  problem.sites = site_nodes(run.network, run.sites);
  const auto repair = stored_repair(run.checkpoint, problem);
  return repair ? layer_repairs(run.network, *repair) : std::vector<LayerRepair>();
}

}  // namespace

std::string result_text(const RunData& run) {
  const Selected& selected = run.selected;
  if (!run.finished || selected.top_index >= run.top.size()) fail("the run is not finished: no codes are selected yet");
  Json metrics = metrics_json(selected.test, run.top[selected.top_index].validation, run.attention_weight);
  metrics["kd_mse_codes"] = selected.test_mse.mean_kd();
  metrics["acc_mse_codes"] = selected.test_mse.student_accuracy();
  if (!selected.repair.empty()) {
    metrics["kd_mse_codes_repaired"] = selected.test_mse_repaired.mean_kd();
    metrics["acc_mse_codes_repaired"] = selected.test_mse_repaired.student_accuracy();
  }
  return text_of_json(result_json(run, run.top[selected.top_index].codes, selected.repair, run.selection,
                                  selected_json(run, selected.top_index, selected.within_max_acc_drop), metrics));
}

void write_candidate(const std::filesystem::path& path, const RunData& run, std::size_t top_index) {
  if (!run.finished) fail("cannot write {}: the run is not finished: its candidates are not scored yet", path.string());
  if (top_index >= run.top.size())
    fail("expected a top_index from 0 to {}, found {}: /top has {} candidates", run.top.size() - 1, top_index,
         run.top.size());
  commit_json(path, result_json(run, run.top[top_index].codes, run.selected.repair,
                                fmt::format("candidate {} of /top, chosen by hand", top_index),
                                selected_json(run, top_index, std::nullopt), nullptr));
}

void write_episode(const std::filesystem::path& path, const RunData& run, std::size_t episode) {
  if (episode >= run.episodes.size())
    fail("expected an episode below {}, found {}: the run has no more", run.episodes.size(), episode);
  const Episode& e = run.episodes[episode];
  const Json selected = {{"split", "search"},
                         {"origin", "episode"},
                         {"episode", episode},
                         {"images", e.score.images},
                         {"acc_teacher", e.score.teacher_accuracy()},
                         {"acc_student", e.score.student_accuracy()},
                         {"kd", e.score.mean_kd()}};
  commit_json(path, result_json(run, e.codes, search_repair(run),
                                fmt::format("episode {}, picked by the images of its iteration alone", episode),
                                selected, nullptr));
}

namespace {

/// Brings what older versions wrote, sites by their record keys and an object as selection, to the form of now.
void modernize(Json& json, const Network& network) {
  Json layers = Json::object();
  for (const Node& node : network.nodes)
    for (const std::string& key : {node.name, record_key(network, node)})
      if (json["layers"].contains(key)) layers[node.name] = json["layers"][key];
  json["layers"] = layers;
  if (!json.contains("selection") || !json["selection"].is_object()) return;
  json["selected"] = json["selection"];
  json["selection"] = json["selected"].value("rule", "");
  json["selected"].erase("rule");
}

}  // namespace

void write_repaired(const std::filesystem::path& path, const std::string& result, const Network& network,
                    const TrainedRepair& trained) {
  Json json = Json::parse(result);
  json.erase("cost");
  modernize(json, network);
  for (const auto& [key, value] : {std::pair("model", trained.model),
                                   {"backend", trained.backend},
                                   {"data", trained.data},
                                   {"data_sha256", trained.data_sha256},
                                   {"model_sha256", trained.model_sha256},
                                   {"attention_layers", trained.attention_layers}})
    json[key] = value;
  json["temperature"] = trained.temperature;
  json["metrics"] = metrics_json(trained.test, trained.validation, std::nullopt);
  json["repair"] = repair_json(trained.mode, layer_repairs(network, trained.repair));
  json["repair"]["training"] = {{"description", trained.description},
                                {"command_line", trained.command_line},
                                {"student_images", trained.student_images},
                                {"validation_before", validation_json(trained.before, trained.passed_before)},
                                {"validation", validation_json(trained.validation, trained.passed)}};
  commit_json(path, json);
}

struct ResultFile::Content {
  Json json;
};

ResultFile::ResultFile(const std::filesystem::path& path)
    : path_(path), text_(read_text(path)), content_(std::make_shared<Content>(Content{parse(path, text_)})) {
  const Json& json = content_->json;
  if (!json.is_object()) fail("{}: top level: expected an object, found {}", path.string(), excerpt(json));
  const auto text = [&](const char* key) -> std::optional<std::string> {
    if (!json.contains(key)) return std::nullopt;
    if (!json[key].is_string()) fail("{}: {}: expected a string, found {}", path.string(), key, excerpt(json[key]));
    return json[key].get<std::string>();
  };
  // Older versions wrote an object with the rule.
  const Json selection = json.value("selection", Json("")),
             rule = selection.is_object() ? selection.value("rule", Json("")) : selection;
  if (!rule.is_string()) fail("{}: selection: expected a string, found {}", path.string(), excerpt(rule));
  origin_ = {text("model"),
             text("backend"),
             text("data"),
             text("attention_layers"),
             std::nullopt,
             text("model_sha256").value_or(""),
             text("data_sha256").value_or(""),
             text("config_hash").value_or("")};
  // The Python original writes "LeNet5".
  if (origin_.model && is_recipe(lower_case(*origin_.model))) origin_.model = lower_case(*origin_.model);
  if (json.contains("temperature")) {
    const Json& value = json["temperature"];
    const double number = value.is_number() ? value.get<double>() : 0;
    if (!(number >= least_temperature && number <= largest_temperature))
      fail("{}: temperature: expected a number from {:g} to {:g}, found {}", path.string(), least_temperature,
           largest_temperature, excerpt(value));
    origin_.temperature = number;
  }
}

std::string ResultFile::repair_description() const {
  const auto at = Json::json_pointer("/repair/training/description");
  const Json& json = content_->json;
  return json.contains(at) && json[at].is_string() ? json[at].get<std::string>() : "";
}

std::uint64_t ResultFile::episodes() const {
  const Json& json = content_->json;
  const auto found = json.find("episodes");
  return found != json.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

namespace {

/// The codes of one site. at: the key of the entry, for messages.
Codes parse_codes(const std::filesystem::path& path, const std::string& at, const Json& entry) {
  if (!entry.is_object())
    fail("{}: {}: expected an object with five codes, found {}", path.string(), at, excerpt(entry));
  Codes codes;
  for (const auto& [name, member] : code_members) {
    const std::string key = code_key(name);
    if (!entry.contains(key)) fail("{}: {}.{}: expected an integer 0..255, found nothing", path.string(), at, key);
    const Json& value = entry[key];
    const double number = value.is_number() ? value.get<double>() : -1;
    if (!(number >= 0 && number <= 255) || number != std::floor(number))
      fail("{}: {}.{}: expected an integer 0..255, found {}", path.string(), at, key, excerpt(value));
    codes.*member = static_cast<std::uint8_t>(number);
  }
  try {
    staircase(codes);
  } catch (const Error& error) {
    fail("{}: {}: {}", path.string(), at, error.what());
  }
  return codes;
}

/// The entries of the sites, by their names.
const Json& layers_in(const std::filesystem::path& path, const Json& json) {
  if (!json.contains("layers")) fail("{}: expected the key 'layers' with the codes of each site", path.string());
  const Json& layers = json["layers"];
  if (!layers.is_object() || layers.empty())
    fail("{}: layers: expected an object with the codes of each site, found {}", path.string(), excerpt(layers));
  return layers;
}

}  // namespace

std::vector<std::pair<std::string, Codes>> ResultFile::named_codes() const {
  std::vector<std::pair<std::string, Codes>> codes;
  for (const auto& [key, entry] : layers_in(path_, content_->json).items())
    codes.emplace_back(key, parse_codes(path_, "layers." + key, entry));
  return codes;
}

SiteCodes ResultFile::codes(const Network& network) const {
  const Json& layers = layers_in(path_, content_->json);
  SiteCodes result;
  std::vector<std::string> known;
  std::set<std::string> found;
  for (std::size_t i = 0; i < network.nodes.size(); ++i) {
    const Node& node = network.nodes[i];
    if (!node.relu) continue;
    known.push_back(node.name);
    for (const std::string& key : {node.name, record_key(network, node)}) {
      if (!layers.contains(key)) continue;
      if (!result.sites.empty() && result.sites.back() == i)
        fail("{}: layers.{}: the site {} is there already by its plain name", path_.string(), key, node.name);
      found.insert(key);
      result.sites.push_back(i);
      result.codes.push_back(parse_codes(path_, "layers." + key, layers[key]));
    }
  }
  for (const auto& [key, entry] : layers.items())
    if (!found.contains(key))
      fail("{}: layers.{}: {} has no such site: expected one of {}", path_.string(), key, network.display_name,
           fmt::join(known, ", "));
  return result;
}

StoredRepair ResultFile::repair(const Network& network) const {
  const Json& json = content_->json;
  if (!json.contains("repair")) return {};
  const auto bad = [&](const std::string& key, const std::string& expected, const Json& found) {
    fail("{}: {}: expected {}, found {}", path_.string(), key, expected, excerpt(found));
  };
  const Json& stored = json["repair"];
  if (!stored.is_object() || !stored.contains("mode") || !stored["mode"].is_string())
    bad("repair", "an object with a mode", stored);
  StoredRepair repair{stored["mode"], {}};
  try {
    if (parse_repair_mode(repair.mode) == RepairMode::none) return repair;
  } catch (const Error& error) {
    fail("{}: repair.mode: {}", path_.string(), error.what());
  }
  if (!stored.contains("layers") || !stored["layers"].is_object() || stored["layers"].empty())
    bad("repair", "an object with layers", stored);
  std::vector<LayerRepair> layers;
  for (const auto& [name, entry] : stored["layers"].items()) {
    const auto array = [&, &name = name, &entry = entry](const char* key, auto is_value) -> const Json& {
      const std::string at = fmt::format("repair.layers.{}.{}", name, key);
      if (!entry.is_object() || !entry.contains(key) || !entry[key].is_array()) bad(at, "an array", entry);
      for (const Json& value : entry[key])
        if (!is_value(value)) bad(at, "multipliers above 0 in the range of float32, or biases of 32 bits", value);
      return entry[key];
    };
    const Json& multiplier = array("multiplier", [](const Json& value) {
      const double number = value.is_number() ? value.get<double>() : 0;
      return number >= std::numeric_limits<float>::min() && number <= std::numeric_limits<float>::max();
    });
    const Json& bias = array("bias", [](const Json& value) {
      return value.is_number_unsigned()
                 ? std::in_range<std::int32_t>(value.get<std::uint64_t>())
                 : value.is_number_integer() && std::in_range<std::int32_t>(value.get<std::int64_t>());
    });
    layers.push_back({name, {multiplier.get<std::vector<float>>(), bias.get<std::vector<std::int32_t>>()}});
  }
  try {
    repair.repair = repair_of(network, layers);
  } catch (const Error& error) {
    fail("{}: {}", path_.string(), error.what());
  }
  return repair;
}

}  // namespace triseg
