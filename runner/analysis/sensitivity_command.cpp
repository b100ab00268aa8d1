// triseg sensitivity: what each site's staircase costs, alone and among the others.
#include "core/atomic_file.hpp"
#include "core/text.hpp"
#include "learner/judging/confidence.hpp"
#include "learner/judging/sensitivity.hpp"
#include "runner/commands/commands.hpp"
#include "runner/cli/declare_options.hpp"
#include "runner/cli/help.hpp"
#include "runner/cli/option_checks.hpp"
#include "runner/commands/result_student.hpp"
#include "runner/ranks/ranks.hpp"
#include "runner/ranks/transport.hpp"
#include "worker/engines/engines.hpp"
#include "worker/scorer.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include <filesystem>
#include <memory>
#include <set>
#include <string>

namespace triseg {
namespace {

using Json = nlohmann::ordered_json;

struct SensitivityOptions {
  StudentOptions student;
  FittedRepairOptions repair;
  std::string split = "validation", format = "table", out;
  EngineOptions engine;
};

constexpr const char* sensitivity_format = "triseg-sensitivity";

/// low and high are null where there is one record of images alone.
Json with_interval(const Difference& d) {
  const double half = half_width_95(d);
  return {{"value", d.mean}, {"low", d.mean - half}, {"high", d.mean + half}};
}

Json with_interval(const Score& score) {
  const Interval drop = drop_95(score);
  return {{"value", accuracy_drop(score)}, {"low", drop.low}, {"high", drop.high}};
}

Json json_of(const SensitivityOptions& o, const ResultStudent& student, const Sensitivity& found) {
  Json sites = Json::array();
  for (const std::size_t i : ranked(found)) {
    const SiteSensitivity& s = found.sites[i];
    Json codes = Json::object();
    for (const auto& [name, member] : code_members) codes[name] = student.codes[i].*member;
    sites.push_back({{"site", student.problem.site(i).name},
                     {"codes", codes},
                     {"kd_alone", with_interval(s.kd_alone)},
                     {"acc_drop_alone", with_interval(s.alone)},
                     {"kd_without", with_interval(s.kd_without)},
                     {"acc_drop_without", with_interval(s.without)},
                     {"kd_saved", with_interval(s.kd_saved)}});
  }
  return {{"format", sensitivity_format},
          {"result", valid_utf8(o.student.result)},
          {"model", student.problem.network().name},
          {"backend", scheme_name(student.problem.model.scheme)},
          {"teacher_sha256", student.model_sha256},
          {"data", valid_utf8(o.student.data)},
          {"data_sha256", student.data.sha256},
          {"split", o.split},
          {"images", found.all.images},
          {"temperature", o.student.temperature},
          {"repair", name_of(repair_modes, o.repair.mode.value_or(RepairMode::none))},
          {"kd", with_interval(found.kd)},
          {"acc_drop", with_interval(found.all)},
          {"sites", sites}};
}

void print_table(const SensitivityOptions& o, const ResultStudent& student, const Sensitivity& found) {
  const auto half = [](const Difference& d) {
    return d.records < 2 ? std::string("-") : fmt::format("{:.5f}", half_width_95(d));
  };
  const auto kd = [&](const Difference& d) { return fmt::format("{:.5f} ± {}", d.mean, half(d)); };
  const auto drop = [](const Score& s) {
    const Interval bounds = drop_95(s);
    return fmt::format("{:.2f} [{:.2f}, {:.2f}]", accuracy_drop(s), bounds.low, bounds.high);
  };
  fmt::print("{} on {} {} images, repair {}; KD [nats] and accuracy drop [points] with 95 % intervals\n",
             student.problem.network().display_name, found.all.images, o.split,
             name_of(repair_modes, o.repair.mode.value_or(RepairMode::none)));
  constexpr auto row = "{:<10} {:>20} {:>22} {:>20} {:>22} {:>21}\n";
  fmt::print(row, "staircase", "KD of it alone", "drop of it alone", "KD without it", "drop without it",
             "saved without it");
  fmt::print(row, "all", kd(found.kd), drop(found.all), "", "", "");
  for (const std::size_t i : ranked(found)) {
    const SiteSensitivity& s = found.sites[i];
    fmt::print(row, student.problem.site(i).name, kd(s.kd_alone), drop(s.alone), kd(s.kd_without), drop(s.without),
               fmt::format("{:+.5f} ± {}", s.kd_saved.mean, half(s.kd_saved)));
  }
}

/// Throws Error if --out names a file that is there and that this command did not write.
void check_out(const std::string& path) {
  std::error_code ignored;
  if (path.empty() || !std::filesystem::exists(path, ignored)) return;
  if (std::filesystem::is_regular_file(path, ignored)) {
    const auto bytes = read_file(path);
    const Json json = Json::parse(reinterpret_cast<const char*>(bytes.data()),
                                  reinterpret_cast<const char*>(bytes.data()) + bytes.size(), nullptr, false);
    if (json.is_object() && json.value("format", Json()) == sensitivity_format) return;
  }
  fail("--out: {} is there and was not written by triseg sensitivity: move it away or choose another", path);
}

int run_sensitivity(SensitivityOptions o, const std::set<std::string>& given) {
  check(o.repair, given);
  const Split split = parse_split(o.split);
  check_out(o.out);
  const ResultStudent student = load_student(o.student);
  if (student.repair.mode != "none" && !o.repair.mode)
    spdlog::info(
        "The result's repair is left out, since it was fitted to all staircases together; --repair {} fits one "
        "for each row",
        student.repair.mode);
  Scorer scorer(student.problem, student.data, engine_factory(o.engine.engine, student.problem),
                scoring_threads(o.engine.threads, *make_local_transport()), o.student.temperature);
  ScoreRequest request = image_range(split, split_batch, 0, student.data.split_size(split), {});
  request.candidates = sensitivity_students(student.codes);
  if (const auto mode = o.repair.mode; mode && *mode != RepairMode::none) {
    for (std::size_t i = 0; i < request.candidates.size(); ++i) {
      request.repairs.push_back(fit_repair(student, request.candidates[i], o.repair, scorer).repair);
      request.repair_of.push_back(static_cast<std::uint32_t>(i));
    }
  }
  const Sensitivity found = sensitivity(scorer.score(request, 0, request.items()), student.codes.size());
  const std::string json = json_of(o, student, found).dump(2) + "\n";
  if (!o.out.empty()) commit_file(std::filesystem::path(o.out), json);
  if (o.format == "json") fmt::print("{}", json);
  else print_table(o, student, found);
  return 0;
}

}  // namespace

void setup_sensitivity(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<SensitivityOptions>();
  SensitivityOptions& o = *options;
  CLI::App* app = program.add_subcommand("sensitivity", "What each site's staircase costs, alone and among the others");
  declare_student_options(*app, o.student);
  app->add_option("--split", o.split, "Images: search, validation or test")
      ->check(one_of(split_names))
      ->capture_default_str();
  declare_fitted_repair(*app, o.repair, "none");
  declare_engine(*app, o.engine);
  app->add_option("--format", o.format, "table or json")->check(one_of(format_names))->capture_default_str();
  app->add_option("--out", o.out, "Also write the JSON to this file")->check(path_text("a file"));
  arrange_help(*app, {{"Problem", {"--model", "--backend", "--data", "--teacher", "--kd-T", "--attention-layers"}},
                      {"What is scored", {"--split", "--repair", "--repair-images"}},
                      {"Report", {"--format", "--out"}},
                      {"Running", {"--engine", "--threads"}}});
  app->callback([=, &exit_code] { exit_code = run_sensitivity(*options, given_options(*app)); });
}

}  // namespace triseg
