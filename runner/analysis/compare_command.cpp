// triseg compare: what two runs or results differ in: options first, then outcomes, then content.
#include "core/error.hpp"
#include "core/text.hpp"
#include "learner/files/result_file.hpp"
#include "learner/files/run_difference.hpp"
#include "learner/files/run_file.hpp"
#include "learner/judging/selection.hpp"
#include "runner/analysis/stored_run.hpp"
#include "runner/commands/commands.hpp"
#include "runner/cli/help.hpp"
#include "runner/cli/declare_options.hpp"
#include "runner/cli/option_checks.hpp"
#include "runner/commands/result_student.hpp"
#include "runner/ranks/ranks.hpp"
#include "runner/ranks/signals.hpp"
#include "runner/ranks/transport.hpp"
#include "core/toml_file.hpp"
#include "worker/engines/engines.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace triseg {
namespace {

using Json = nlohmann::ordered_json;

struct CompareOptions {
  std::string first, second, data, teacher, split = "validation";
  bool all = false, files_only = false;
  EngineOptions engine;
};

/// Texts by name, in their order.
using Texts = std::vector<std::pair<std::string, std::string>>;

/// One of the two.
struct Side {
  std::string path;
  std::optional<RunData> run;  ///< nothing: it is a result file
  Json result;                 ///< null of a run that is not finished
  Texts results, others;       ///< options that change results, and those that do not
};

bool is_run(const std::string& path) { return std::filesystem::path(path).extension() == ".h5"; }

Texts options_in(const std::string& toml, const std::string& name) {
  Texts texts;
  for (const TomlEntry& entry : parse_toml(toml, name, "key = value")) texts.emplace_back(entry.key, entry.joined());
  return texts;
}

/// What a result file says of where it comes from.
Texts origin_in(const Json& result) {
  Texts texts;
  for (const char* key : {"model", "backend", "data", "data_sha256", "model_sha256", "config_hash", "seed", "episodes",
                          "temperature", "attention_layers", "selection"})
    if (result.contains(key))
      texts.emplace_back(key, result[key].is_string() ? result[key].get<std::string>() : result[key].dump());
  texts.emplace_back("repair", result.value("/repair/mode"_json_pointer, "none"));
  return texts;
}

Side read_side(const std::string& path, bool both_runs) {
  Side side{path, {}, {}, {}, {}};
  if (!is_run(path)) {
    side.result = Json::parse(ResultFile(path).text());
    side.results = origin_in(side.result);
    return side;
  }
  side.run = read_run(path);
  if (side.run->finished) side.result = Json::parse(result_text(*side.run));
  if (!both_runs) {
    if (!side.run->finished) fail("{}: it is not finished: it compares with another run only", path);
    side.results = origin_in(side.result);
    return side;
  }
  const std::size_t rest = side.run->config.find(fmt::format("# {}", changes_speed));
  side.results = options_in(side.run->config.substr(0, rest), path);
  side.results.emplace_back("teacher's sha256", side.run->model_sha256);
  side.results.emplace_back("data's sha256", side.run->data_sha256);
  if (rest != std::string::npos) side.others = options_in(side.run->config.substr(rest), path);
  return side;
}

std::optional<std::string> find(const Texts& texts, const std::string& name) {
  for (const auto& [key, value] : texts)
    if (key == name) return value;
  return std::nullopt;
}

/// The names that either has and that are not equal, with both values; "-" where there is none.
std::vector<std::array<std::string, 3>> differing(const Texts& a, const Texts& b) {
  std::vector<std::array<std::string, 3>> rows;
  std::set<std::string> seen;
  for (const Texts* texts : {&a, &b}) {
    for (const auto& [key, value] : *texts) {
      if (!seen.insert(key).second) continue;
      const auto x = find(a, key), y = find(b, key);
      if (x != y) rows.push_back({key, x.value_or("-"), y.value_or("-")});
    }
  }
  return rows;
}

void print_rows(std::vector<std::array<std::string, 3>> rows) {
  for (auto& row : rows)
    for (std::string& cell : row) cell = printable(cell);
  std::array<std::size_t, 2> width{};
  for (const auto& row : rows)
    for (std::size_t i = 0; i < 2; ++i) width[i] = std::max(width[i], row[i].size());
  for (const auto& row : rows) fmt::print("  {:<{}}  {:<{}}  {}\n", row[0], width[0], row[1], width[1], row[2]);
}

/// The numbers of a result by their paths, those of its codes left out.
void collect_numbers(const Json& json, const std::string& path, std::vector<std::pair<std::string, double>>& numbers) {
  for (const auto& [key, value] : json.items()) {
    const std::string name = path.empty() ? key : path + "." + key;
    if (value.is_number()) numbers.emplace_back(name, value.get<double>());
    else if (value.is_object()) collect_numbers(value, name, numbers);
  }
}

std::vector<std::pair<std::string, double>> numbers_of(const Json& result) {
  std::vector<std::pair<std::string, double>> numbers;
  for (const char* key : {"selected", "metrics", "cost"})
    if (result.contains(key) && result[key].is_object()) collect_numbers(result[key], key, numbers);
  return numbers;
}

/// Codes by "conv1 t2".
Texts codes_of(const Json& result) {
  Texts texts;
  const Json layers = result.value("layers", Json::object());
  for (const auto& [site, codes] : layers.items())
    for (const auto& [name, member] : code_members)
      if (const std::string key = fmt::format("{}_code", name); codes.contains(key))
        texts.emplace_back(fmt::format("{} {}", site, name), codes[key].dump());
  return texts;
}

/// True if any differ.
bool print_codes(const Side& a, const Side& b) {
  const auto rows = differing(codes_of(a.result), codes_of(b.result));
  fmt::print("\n{}\n", rows.empty() ? "the codes are equal" : "codes that differ (A, B)");
  print_rows(rows);
  return !rows.empty();
}

/// The last line: what the exit code is for.
int verdict(bool same, const std::vector<std::string>& differing_parts) {
  if (!differing_parts.empty()) fmt::print("\ndiffer in {}\n", fmt::join(differing_parts, ", "));
  else fmt::print("\n{}\n", same ? "equal" : "different");
  return same ? 0 : exit_different;
}

/// True if any differ.
bool print_recorded(const Side& a, const Side& b) {
  const auto x = numbers_of(a.result), y = numbers_of(b.result);
  const std::map<std::string, double> others(y.begin(), y.end());
  bool any = false;
  for (const auto& [name, value] : x) {
    const auto other = others.find(name);
    if (other == others.end() || other->second == value || name.ends_with("mcnemar_p")) continue;
    if (!std::exchange(any, true)) fmt::print("\nrecorded in the files, where they differ (A, B, B - A)\n");
    fmt::print("  {:<36}{:>16.8g}{:>16.8g}{:>16.8g}\n", printable(name), value, other->second, other->second - value);
  }
  return any;
}

/// A student's scores on a split, with what they were measured by.
struct Measured {
  std::vector<Score> records;
  std::string data_sha256, model_sha256;
  double temperature = 0;
};

Measured measure(const CompareOptions& o, const Side& side, Split split) {
  if (side.run) {
    StoredRunOptions options{"compare", side.path, o.data, o.teacher, o.engine};
    const auto stored = load_stored_run(options);
    ScoreRequest request = image_range(split, split_batch, 0, stored->data.split_size(split), {});
    request.candidates = {stored->run.top[stored->run.selected.top_index].codes};
    request.repairs = {stored->repair};
    request.repair_of = {stored->repair.empty() ? no_repair : 0};
    return {stored->scorer->score(request, 0, request.items()), stored->data.sha256, stored->run.model_sha256,
            stored->run.temperature};
  }
  StudentOptions options;
  options.command = "compare";
  options.result = side.path;
  options.data = o.data;
  options.teacher = o.teacher;
  const ResultStudent student = load_student(options);
  Scorer scorer(student.problem, student.data, engine_factory(o.engine.engine, student.problem),
                scoring_threads(o.engine.threads, *make_local_transport()), options.temperature);
  const ScoreRequest request = whole_split(student, split, student.repair.repair);
  return {scorer.score(request, 0, request.items()), student.data.sha256, student.model_sha256, options.temperature};
}

std::vector<double> column(const std::vector<Score>& records, double (*value)(const Score&)) {
  std::vector<double> values;
  for (const Score& record : records) values.push_back(value(record));
  return values;
}

void print_measured(const Measured& a, const Measured& b, const std::string& split) {
  if (a.data_sha256 != b.data_sha256) {
    fmt::print("\nThey are of different images: no paired differences.\n");
    return;
  }
  std::uint64_t images = 0;
  for (const Score& record : a.records) images += record.images;
  fmt::print("\nscored again on the same {} {} images (A, B, B - A with its 95 % interval)\n", images, split);
  const auto row = [&](const char* name, double factor, double (*value)(const Score&)) {
    const auto x = column(a.records, value), y = column(b.records, value);
    const Difference only_a = reward_difference(x, std::vector(x.size(), 0.0), images),
                     only_b = reward_difference(y, std::vector(y.size(), 0.0), images),
                     d = reward_difference(y, x, images);
    const double half = half_width_95(d);
    const std::string interval =
        d.records < 2 ? "-" : fmt::format("[{:.6g}, {:.6g}]", factor * (d.mean - half), factor * (d.mean + half));
    fmt::print("  {:<26}{:>12.6g}{:>12.6g}{:>12.6g}  {}\n", name, factor * only_a.mean, factor * only_b.mean,
               factor * d.mean, interval);
  };
  if (a.temperature == b.temperature && a.model_sha256 == b.model_sha256)
    row("KD [nats]", 1, [](const Score& s) { return s.kd; });
  else
    fmt::print("  KD does not compare: they have different {}\n",
               a.model_sha256 == b.model_sha256 ? "temperatures" : "teachers");
  row("student accuracy [%]", 100, [](const Score& s) { return double(s.both_right + s.student_only); });
  row("accuracy drop [points]", 100, [](const Score& s) { return double(s.teacher_only) - double(s.student_only); });
}

/// The scores of both, or a line that says why there are none: what follows does not need them.
void measure_both(const CompareOptions& o, const Side& a, const Side& b) {
  const Split split = parse_split(o.split);
  std::vector<Measured> measured;
  for (const Side* side : {&a, &b}) {
    try {
      measured.push_back(measure(o, *side, split));
    } catch (const Error& error) {
      return fmt::print("\n{} cannot be scored again: {}\n", printable(side->path), printable(error.what()));
    }
  }
  print_measured(measured[0], measured[1], o.split);
}

/// Throws Error for options that change nothing here.
void check_options(const CompareOptions& o, bool runs, const std::set<std::string>& given) {
  const auto idle = [](const std::string& name, std::string_view why) {
    fail("--{}: has no effect here: {}", name, why);
  };
  if (o.all && !runs) idle("all", "result files have neither fields nor options of speed");
  for (const char* name : {"split", "data", "teacher", "engine", "threads"})
    if (o.files_only && given.contains(name)) idle(name, "--files-only scores nothing");
}

int run_compare(const CompareOptions& o, const std::set<std::string>& given) {
  if (o.first.empty() || o.second.empty())
    throw CLI::ParseError("compare: expected two run files (NAME.h5) or result files (NAME.json)",
                          CLI::ExitCodes::RequiredError);
  parse_split(o.split);
  const bool runs = is_run(o.first) && is_run(o.second);
  check_options(o, runs, given);
  const Side a = read_side(o.first, runs), b = read_side(o.second, runs);
  fmt::print("A  {}\nB  {}\n\n", printable(a.path), printable(b.path));

  const auto results = differing(a.results, b.results);
  if (results.empty()) fmt::print("no {} that change results differ\n", runs ? "options" : "settings");
  else fmt::print("{} that differ (A, B)\n", runs ? "options" : "settings");
  print_rows(results);
  if (o.all && runs) {
    const auto others = differing(a.others, b.others);
    if (!others.empty()) fmt::print("others that differ and change only where and how fast (A, B)\n");
    print_rows(others);
  }

  std::vector<std::string> parts;
  if (!results.empty()) parts.push_back(runs ? "options" : "settings");
  if (a.result.is_null() || b.result.is_null()) {
    fmt::print("\n{} is not finished: no outcomes to compare.\n", printable(a.result.is_null() ? a.path : b.path));
  } else {
    if (print_codes(a, b)) parts.push_back("codes");
    if (print_recorded(a, b)) parts.push_back("outcomes");
    if (!o.files_only) measure_both(o, a, b);
  }

  if (!runs) {
    const bool same = a.result.value("layers", Json()) == b.result.value("layers", Json()) &&
                      a.result.value("repair", Json()) == b.result.value("repair", Json());
    fmt::print("\ncodes and repair: {}\n", same ? "equal" : "different");
    return verdict(same, parts);
  }
  const std::vector<std::string> lines = content_differences(*a.run, *b.run);
  if (lines.empty()) fmt::print("\ncontent: equal\n");
  else fmt::print("\ncontent: different in {}{}\n", counted(lines.size(), "field"), o.all ? "" : "; --all lists them");
  if (o.all)
    for (const std::string& line : lines) fmt::print("  {}\n", printable(line));
  if (!lines.empty()) parts.push_back("content");
  return verdict(lines.empty(), parts);
}

}  // namespace

void setup_compare(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<CompareOptions>();
  CompareOptions& o = *options;
  CLI::App* app = program.add_subcommand(
      "compare", "What two runs or results differ in: options, outcomes with paired differences, content");
  add_exit_codes(*app, {{0, "content, or codes and repair, are equal"}, {exit_different, "they are different"}});
  app->add_option("first", o.first, "Run file (NAME.h5) or result file (NAME.json): A")->check(path_text("a file"));
  app->add_option("second", o.second, "The other: B")->check(path_text("a file"));
  app->add_flag("--all", o.all, "Also list every field whose content differs, and options that change only the speed")
      ->disable_flag_override();
  app->add_flag("--files-only", o.files_only, "Score nothing again: needs neither teacher nor images")
      ->disable_flag_override();
  app->add_option("--split", o.split, "Images to score both on: search, validation or test")
      ->check(one_of(split_names))
      ->capture_default_str();
  app->add_option("--data", o.data, "Data set (default: that of each)")
      ->check(offers(data_names))
      ->check(path_text("a data set or a folder"));
  app->add_option("--teacher", o.teacher, "Model file of the teacher (default: that of each)")
      ->check(path_text("a model file"));
  declare_engine(*app, o.engine);
  app->callback([=, &exit_code] { exit_code = run_compare(*options, given_options(*app)); });
}

}  // namespace triseg
