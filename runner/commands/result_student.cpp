#include "runner/commands/result_student.hpp"

#include "core/atomic_file.hpp"
#include "core/error.hpp"
#include "core/hdf5/hdf5.hpp"
#include "runner/model_lookup.hpp"
#include "network/recipes.hpp"
#include "runner/cli/option_checks.hpp"
#include "learner/files/model_file.hpp"
#include "learner/judging/repair.hpp"
#include "learner/judging/shares.hpp"
#include "runner/ranks/rollout.hpp"
#include "runner/ranks/transport.hpp"
#include "runner/repair_fit.hpp"
#include "runner/options/search_options.hpp"

#include <CLI/CLI.hpp>
#include <spdlog/spdlog.h>

#include <filesystem>
#include <utility>

namespace triseg {
namespace {

namespace fs = std::filesystem;

/// Fills in what the command line left open.
void resolve(StudentOptions& o, const ResultFile& file) {
  const ProblemOptions search;
  const ResultOrigin& origin = file.origin();
  if (!o.backend && origin.backend) {
    try {
      o.backend = parse_scheme(*origin.backend);
    } catch (const Error& error) {
      fail("{}: backend: {}", file.path().string(), error.what());
    }
  }
  if (o.model.empty() && (origin.model || o.teacher.empty())) o.model = origin.model.value_or(default_model);
  if (o.data.empty()) o.data = origin.data.value_or(search.data);
  if (o.attention_layers.empty()) o.attention_layers = origin.attention_layers.value_or(search.attention_layers);
  if (o.temperature == 0) o.temperature = origin.temperature.value_or(search.temperature);
}

/// The images of --data, or else those that the result was found on.
DataSet load_data(const StudentOptions& o, const ResultOrigin& origin, bool data_given) {
  if (data_given || !origin.data) return load_data_set(o.data);
  if (fs::path(o.data).is_absolute() && !fs::exists(o.data))
    fail("{} was found on the data in {}, which is not there any more: give its folder or file with --data", o.result,
         o.data);
  DataSet data = load_data_set(o.data);
  if (!origin.data_sha256.empty() && origin.data_sha256 != data.sha256)
    fail(
        "{} was found on other data (sha256 {:.12}...) than {} holds now (sha256 {:.12}...): give the right one "
        "with --data",
        o.result, origin.data_sha256, o.data, data.sha256);
  return data;
}

/// Codes may be tried on another teacher by --teacher; a repair is of one teacher's channels.
void check_teacher(const StudentOptions& o, const ResultStudent& student) {
  const ResultOrigin& origin = student.file.origin();
  if (origin.model_sha256.empty() || origin.model_sha256 == student.model_sha256) return;
  if (o.teacher.empty() || !student.repair.repair.empty())
    fail(
        "{} was found with another teacher (sha256 {:.12}...) than {} (sha256 {:.12}...): give its model file with "
        "--teacher",
        o.result, origin.model_sha256, student.model_path.string(), student.model_sha256);
  spdlog::warn("warning: {} was found with another teacher: its accuracies need not come out again", o.result);
}

/// The format that an HDF5 file of triseg's says it has; empty if it is none.
std::string format_of(const fs::path& path) {
  try {
    return hdf5::File::open(read_file(path), path.string()).read_attribute("/", "format").string();
  } catch (const Error&) {
    return {};
  }
}

/// Run files and models are what users give by mistake.
void check_is_a_result(const fs::path& path) {
  if (path.extension() != ".h5") return;
  if (format_of(path) == model_format)
    fail("{}: expected a result file (NAME.json), found a model file, which --teacher takes", path.string());
  const fs::path result = fs::path(path).replace_extension(".json");
  fail("{}: expected a result file (NAME.json), found the name of a run file: {}", path.string(),
       fs::exists(result) ? fmt::format("its result is {}", result.string())
                          : "its result is written when the run is finished");
}

}  // namespace

void declare_student_options(CLI::App& app, StudentOptions& o) {
  o.command = app.get_name();
  app.add_option("result", o.result, "Result file (NAME.json), triseg's or the Python original's")
      ->check(path_text("a result file"));
  app.add_option("--model", o.model, "Network (default: the result file's, or alexnet)")
      ->check(offers(recipe_names()))
      ->check(not_empty("a network"));
  app.add_option_function<std::string>(
         "--backend", [&o](const std::string& text) { o.backend = parse_scheme(text); },
         "Quantization scheme: fbgemm or qnnpack (default: the result file's, or fbgemm)")
      ->check(offers(scheme_names))
      ->check(not_empty("fbgemm or qnnpack"));
  app.add_option("--data", o.data,
                 "Data set: fashion-mnist, shapes, or a folder (default: the result file's, or fashion-mnist)")
      ->check(offers(data_names))
      ->check(path_text("a data set or a folder"));
  app.add_option("--teacher", o.teacher, "Model file of the teacher (default: the shipped one)")
      ->check(path_text("a model file"));
  app.add_option("--kd-T", o.temperature, "Temperature of the distillation term (default: the result file's, or 2)")
      ->check(within(least_temperature, largest_temperature));
  app.add_option("--attention-layers", o.attention_layers,
                 "default, none, or names separated by commas (default: the result file's, or default)")
      ->check(offers({"default", "none"}))
      ->check(not_empty("default, none, or names of layers"));
}

ResultStudent load_student(StudentOptions& o) {
  if (o.result.empty())
    throw CLI::ParseError(o.command + ": expected the name of a result file (NAME.json)",
                          CLI::ExitCodes::RequiredError);
  check_is_a_result(o.result);
  ResultFile file(o.result);
  const bool model_given = !o.model.empty(), data_given = !o.data.empty();
  resolve(o, file);
  DataSet data = load_data(o, file.origin(), data_given);
  ModelFile teacher = load_teacher(o.teacher, o.model, o.backend, data);
  for (const std::string& text : warnings(data)) spdlog::warn("warning: {}", text);
  o.model = teacher.network.network.name;
  o.backend = teacher.network.scheme;
  const auto attention = select_attention_layers(teacher.network.network, o.attention_layers);
  SiteCodes sites = file.codes(teacher.network.network);
  StoredRepair repair = file.repair(teacher.network.network);
  try {
    check_repair(teacher.network, repair.repair);
    if (repair.mode == name_of(repair_modes, RepairMode::layer)) check_one_factor(teacher.network, repair.repair);
  } catch (const Error& error) {
    fail("{}: {}", o.result, error.what());
  }
  ResultStudent student{
      std::move(file),  std::move(data), {std::move(teacher.network), std::move(sites.sites), attention},
      teacher.sha256,   teacher.path,    std::move(sites.codes),
      std::move(repair)};
  const ResultOrigin& origin = student.file.origin();
  if (!model_given && !origin.model)
    spdlog::info("{} names no model: taking {}; --model changes it", o.result, o.model);
  check_teacher(o, student);
  if (origin.model && *origin.model != o.model)
    spdlog::warn("warning: {} was found on {}, not on {}", o.result, *origin.model, o.model);
  if (!origin.data_sha256.empty() && origin.data_sha256 != student.data.sha256)
    spdlog::warn("warning: {} was found on other images: its accuracies need not come out again", o.result);
  return student;
}

void declare_fitted_repair(CLI::App& app, FittedRepairOptions& o, const std::string& otherwise) {
  app.add_option_function<std::string>(
         "--repair", [&o](const std::string& text) { o.mode = parse_repair_mode(text); },
         fmt::format("{}, fitted here (default: {})", repair_description, otherwise))
      ->check(offers({"none", "layer", "channel"}))
      ->check(not_empty("none, layer or channel"));
  app.add_option("--repair-images", o.images, "Images of the search split that --repair is fitted on")
      ->check(whole(1, 1'000'000))
      ->capture_default_str();
}

void check(const FittedRepairOptions& o, const std::set<std::string>& given) {
  if (given.contains("repair-images") && o.mode.value_or(RepairMode::none) == RepairMode::none)
    fail("--repair-images: has no effect here: it needs --repair layer or channel");
}

StoredRepair fit_repair(const ResultStudent& student, const std::vector<Codes>& codes, const FittedRepairOptions& o,
                        Scorer& scorer) {
  const RepairMode mode = o.mode.value_or(RepairMode::none);
  if (mode == RepairMode::none) return {};
  const std::size_t images = student.data.split_size(Split::search);
  if (o.images > images)
    fail("--repair-images: {} images, but the search split has {}: choose at most so many", o.images, images);
  const auto alone = make_local_transport();
  Rollout rollout(*alone, scorer, false);
  std::uint64_t images_run = 0;
  return {std::string(name_of(repair_modes, mode)),
          RepairFit(rollout, student.problem, mode, o.images).fit(codes, images_run)};
}

ScoreRequest whole_split(const ResultStudent& student, Split split, const Repair& repair) {
  ScoreRequest request = image_range(split, split_batch, 0, student.data.split_size(split), {});
  request.candidates = {student.codes};
  request.repairs = {repair};
  request.repair_of = {0};
  return request;
}

double passed_in(Scorer& scorer, const ScoreRequest& request) {
  return passed_share(scorer.histograms(request, 0, request.batches()), request.candidates.front());
}

Score total_score(Scorer& scorer, const ScoreRequest& request) {
  Score total;
  for (const Score& score : scorer.score(request, 0, request.items())) total += score;
  return total;
}

}  // namespace triseg
