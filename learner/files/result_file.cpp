#include "learner/files/result_file.hpp"

#include "core/atomic_file.hpp"
#include "core/error.hpp"
#include "core/text.hpp"
#include "learner/judging/confidence.hpp"
#include "learner/judging/cost_model.hpp"
#include "learner/judging/repair.hpp"
#include "learner/judging/selection.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

namespace triseg {
namespace {

using Json = nlohmann::ordered_json;

/// The five codes by their keys in the file.
constexpr std::pair<const char*, std::uint8_t Codes::*> code_keys[] = {
    {"t1_code", &Codes::t1}, {"v1_code", &Codes::v1}, {"t2_code", &Codes::t2}, {"v2_code", &Codes::v2}, {"tmax_code", &Codes::tmax}};

Json pair(Interval interval) { return {interval.low, interval.high}; }

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

/// Parses a file, refusing repeated keys, of which the parser would keep the last.
Json parse(const std::filesystem::path& path) {
  const std::vector<std::byte> bytes = read_file(path);
  std::vector<std::set<std::string>> keys;
  const auto visit = [&](int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(parsed.get<std::string>()).second)
      fail("{}: the key '{}' is given twice", path.string(), parsed.get<std::string>());
    return true;
  };
  try {
    const char* text = reinterpret_cast<const char*>(bytes.data());
    return Json::parse(text, text + bytes.size(), visit);
  } catch (const Json::parse_error& error) {
    fail("{}: expected JSON, found a syntax error at byte {}", path.string(), error.byte);
  } catch (const Json::out_of_range&) {
    fail("{}: expected JSON, found a number beyond the range of double", path.string());
  }
}

/// A JSON value for a message, in one line and not too long.
std::string excerpt(const Json& value) {
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  return text.size() <= 40 ? text : text.substr(0, 40) + "...";
}

Json repair_json(const std::string& mode, std::span<const LayerRepair> layers) {
  Json json = {{"mode", mode}};
  for (const LayerRepair& layer : layers)
    json["layers"][layer.layer] = {{"multiplier", layer.requantization.multiplier}, {"bias", layer.requantization.bias}};
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
  return {{"images", score.images}, {"acc_student", score.student_accuracy()}, {"kd", score.mean_kd()}, {"passed", passed}};
}

void make_strings_valid(Json& json) {
  if (json.is_string()) json = valid_utf8(json.get_ref<const std::string&>());
  if (json.is_structured())
    for (Json& item : json) make_strings_valid(item);
}

void commit_json(const std::filesystem::path& path, Json json) {
  make_strings_valid(json);
  commit_file(path, json.dump(2) + "\n");
}

/// How a candidate of /top was chosen, and what validation says of it. within_max_acc_drop: if that was part of the choice.
Json selection_json(const RunData& run, std::size_t top_index, const std::string& rule, std::optional<bool> within_max_acc_drop) {
  const Candidate& chosen = run.top[top_index];
  const Score& validation = chosen.validation;
  Json selection = {{"rule", rule}, {"split", "validation"}, {"candidates", run.top.size()}, {"origin", chosen.origin}};
  if (chosen.origin == "episode") selection["episode"] = chosen.episode;
  if (within_max_acc_drop) selection["within_max_acc_drop"] = *within_max_acc_drop;
  selection["images"] = validation.images;
  selection["acc_teacher"] = validation.teacher_accuracy();
  selection["acc_student"] = validation.student_accuracy();
  selection["kd"] = validation.mean_kd();
  const Difference to_best = reward_difference(chosen.record_rewards, run.top.front().record_rewards, validation.images);
  selection["difference_to_best"] = to_best.mean;
  selection["difference_to_best_error"] = to_best.error;
  selection["within_error_of_best"] = count_within_error(run.top);
  return selection;
}

/// The result file of a candidate of /top; metrics: of the test split, or null.
Json result_json(const RunData& run, std::size_t top_index, const Json& selection, const Json& metrics) {
  const Candidate& chosen = run.top[top_index];
  Json layers = Json::object();
  for (std::size_t i = 0; i < run.sites.size(); ++i)
    for (const auto& [key, member] : code_keys) layers[run.sites[i].record_key][key] = chosen.codes.at(i).*member;
  const NetworkCost cost = network_cost(make_network(run.model), run.sites, chosen.codes, run.energy);
  const Json costs = {{"coverage", cost.coverage},
                      {"entropy_bits", cost.entropy_bits},
                      {"coded_bits", cost.coded_bits},
                      {"multiplications", cost.multiplications},
                      {"skipped", cost.skipped},
                      {"constant", cost.constant},
                      {"energy_pj", cost.energy.staircase},
                      {"energy_exact_pj", cost.energy.exact},
                      {"energy_exact_skipping_pj", cost.energy.exact_skipping}};
  const std::string attention = run.attention_layers.empty() ? "none" : fmt::format("{}", fmt::join(run.attention_layers, ","));
  Json result = {{"layers", layers},       {"backend", run.backend},           {"model", run.model},
                       {"selection", selection}, {"metrics", metrics},               {"cost", costs}, {"data", run.data},
                       {"data_sha256", run.data_sha256},
                       {"seed", run.seed},       {"episodes", run.episodes.size()},  {"student_images", run.student_images},
                       {"model_sha256", run.model_sha256},
                       {"config_hash", run.config_hash}, {"temperature", run.temperature},
                       {"attention_layers", attention},  {"repair", repair_json(run.repair, run.selected.repair)}};
  if (metrics.is_null()) result.erase("metrics");
  return result;
}

}  // namespace

void write_result(const std::filesystem::path& path, const RunData& run) {
  const Selected& selected = run.selected;
  if (!run.finished || selected.top_index >= run.top.size())
    fail("cannot write {}: the run is not finished: no codes are selected yet", path.string());
  Json metrics = metrics_json(selected.test, run.top[selected.top_index].validation, run.attention_weight);
  metrics["kd_mse_codes"] = selected.test_mse.mean_kd();
  metrics["acc_mse_codes"] = selected.test_mse.student_accuracy();
  if (!selected.repair.empty()) {
    metrics["kd_mse_codes_repaired"] = selected.test_mse_repaired.mean_kd();
    metrics["acc_mse_codes_repaired"] = selected.test_mse_repaired.student_accuracy();
  }
  const Json selection = selection_json(run, selected.top_index, run.selection, selected.within_max_acc_drop);
  commit_json(path, result_json(run, selected.top_index, selection, metrics));
}

void write_candidate(const std::filesystem::path& path, const RunData& run, std::size_t top_index) {
  if (!run.finished) fail("cannot write {}: the run is not finished: its candidates are not scored yet", path.string());
  if (top_index >= run.top.size())
    fail("expected a top_index from 0 to {}, found {}: /top has {} candidates", run.top.size() - 1, top_index, run.top.size());
  const Json selection = selection_json(run, top_index, fmt::format("candidate {} of /top, chosen by hand", top_index), std::nullopt);
  commit_json(path, result_json(run, top_index, selection, nullptr));
}

void write_repaired(const std::filesystem::path& path, const std::string& result, const Network& network,
                    const TrainedRepair& trained) {
  Json json = Json::parse(result);
  json.erase("cost");
  for (const auto& [key, value] : {std::pair("model", trained.model), {"backend", trained.backend}, {"data", trained.data},
                                   {"data_sha256", trained.data_sha256}, {"model_sha256", trained.model_sha256},
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

std::string repair_description_of(const std::filesystem::path& path) {
  const Json json = parse(path);
  const auto at = Json::json_pointer("/repair/training/description");
  return json.contains(at) && json[at].is_string() ? json[at].get<std::string>() : "";
}

std::vector<Codes> read_result(const std::filesystem::path& path, Network& network) {
  const Json json = parse(path);
  const auto bad = [&](const std::string& key, const std::string& expected, const Json& found) {
    fail("{}: {}: expected {}, found {}", path.string(), key, expected, excerpt(found));
  };
  if (!json.is_object()) bad("top level", "an object", json);
  if (!json.contains("layers")) fail("{}: expected the key 'layers' with the codes of each site", path.string());
  const Json& layers = json["layers"];
  if (!layers.is_object() || layers.empty()) bad("layers", "an object with the codes of each site", layers);
  if (json.contains("model")) {
    const Json& model = json["model"];
    if (!model.is_string()) bad("model", "a string", model);
    const std::string name = lower_case(model);
    const std::vector<std::string> known = network_names();
    if (name != network.name && std::find(known.begin(), known.end(), name) != known.end())
      bad("model", fmt::format("\"{}\"", network.name), model);
  }

  std::vector<Codes> codes;
  std::vector<std::string> names, keys;
  for (const std::size_t i : network.sites()) {
    const std::string key = record_key(network.layers[i]);
    keys.push_back(key);
    if (!layers.contains(key)) continue;
    const Json& entry = layers[key];
    if (!entry.is_object()) bad("layers." + key, "an object with five codes", entry);
    Codes& site = codes.emplace_back();
    names.push_back(network.layers[i].name);
    for (const auto& [name, member] : code_keys) {
      const std::string at = fmt::format("layers.{}.{}", key, name);
      if (!entry.contains(name)) fail("{}: {}: expected an integer 0..255, found nothing", path.string(), at);
      const Json& value = entry[name];
      const double number = value.is_number() ? value.get<double>() : -1;
      if (!(number >= 0 && number <= 255) || number != std::floor(number)) bad(at, "an integer 0..255", value);
      site.*member = static_cast<std::uint8_t>(number);
    }
    try {
      staircase(site);
    } catch (const Error& error) {
      fail("{}: layers.{}: {}", path.string(), key, error.what());
    }
  }
  for (const auto& [key, entry] : layers.items())
    if (std::find(keys.begin(), keys.end(), key) == keys.end())
      fail("{}: layers.{}: {} has no such site: expected one of {}", path.string(), key, network.display_name, fmt::join(keys, ", "));
  select_sites(network, fmt::format("{}", fmt::join(names, ",")));
  return codes;
}

StoredRepair read_repair(const std::filesystem::path& path, const Network& network) {
  const Json json = parse(path);
  if (!json.is_object() || !json.contains("repair")) return {};
  const auto bad = [&](const std::string& key, const std::string& expected, const Json& found) {
    fail("{}: {}: expected {}, found {}", path.string(), key, expected, excerpt(found));
  };
  const Json& stored = json["repair"];
  if (!stored.is_object() || !stored.contains("mode") || !stored["mode"].is_string()) bad("repair", "an object with a mode", stored);
  StoredRepair repair{stored["mode"], {}};
  try {
    if (parse_repair_mode(repair.mode) == RepairMode::none) return repair;
  } catch (const Error& error) {
    fail("{}: repair.mode: {}", path.string(), error.what());
  }
  if (!stored.contains("layers") || !stored["layers"].is_object()) bad("repair", "an object with layers", stored);
  std::vector<LayerRepair> layers;
  for (const auto& [name, entry] : stored["layers"].items()) {
    const auto array = [&](const char* key, auto is_value) -> const Json& {
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
      return value.is_number_unsigned() ? std::in_range<std::int32_t>(value.get<std::uint64_t>())
                                        : value.is_number_integer() && std::in_range<std::int32_t>(value.get<std::int64_t>());
    });
    layers.push_back({name, {multiplier.get<std::vector<float>>(), bias.get<std::vector<std::int32_t>>()}});
  }
  try {
    repair.repair = repair_of(network, layers);
  } catch (const Error& error) {
    fail("{}: {}", path.string(), error.what());
  }
  return repair;
}

ResultOrigin read_result_origin(const std::filesystem::path& path) {
  const Json json = parse(path);
  if (!json.is_object()) fail("{}: top level: expected an object, found {}", path.string(), excerpt(json));
  const auto text = [&](const char* key) -> std::optional<std::string> {
    return json.contains(key) && json[key].is_string() ? std::optional(json[key].get<std::string>()) : std::nullopt;
  };
  ResultOrigin origin{text("model"), text("backend"), text("data"), text("attention_layers"), std::nullopt,
                      text("model_sha256").value_or(""), text("data_sha256").value_or(""), text("config_hash").value_or("")};
  if (origin.model) origin.model = lower_case(*origin.model);
  if (json.contains("temperature")) {
    const Json& value = json["temperature"];
    const double number = value.is_number() ? value.get<double>() : 0;
    if (!(number >= least_temperature && number <= largest_temperature))
      fail("{}: temperature: expected a number from {:g} to {:g}, found {}", path.string(), least_temperature, largest_temperature,
           excerpt(value));
    origin.temperature = number;
  }
  return origin;
}

}  // namespace triseg
