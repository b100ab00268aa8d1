// triseg evaluate: the student of a result file on a split.
#include "core/atomic_file.hpp"
#include "core/error.hpp"
#include "learner/hdf5.hpp"
#include "learner/model_file.hpp"
#include "learner/result_file.hpp"
#include "learner/selection.hpp"
#include "runner/commands.hpp"
#include "runner/launcher.hpp"
#include "runner/model_lookup.hpp"
#include "runner/option_checks.hpp"
#include "runner/ranks.hpp"
#include "runner/repair_fit.hpp"
#include "runner/results_table.hpp"
#include "runner/search_options.hpp"
#include "runner/transport.hpp"
#include "worker/scorer.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <numeric>

namespace triseg {
namespace {

namespace fs = std::filesystem;

struct EvaluateOptions {
  std::string result;
  // Empty or 0: what the result file says, else the default of a search.
  std::string model, backend, data, attention_layers;
  double temperature = 0;
  std::string repair;
  std::uint32_t repair_images = SearchOptions{}.repair_images;
  std::string teacher;
  std::string split = "test";
  std::string engine = "auto";
  int threads = 0;
  std::string format = "table";
};

/// Shares of a site's codes per segment of the staircase [percent].
struct Shares {
  double zero = 0, v1 = 0, v2 = 0, passed = 0;
};

Shares segment_shares(const Histogram& histogram, const Codes& c) {
  Shares shares;
  const double unit = 100.0 / double(std::max<std::uint64_t>(histogram.total(), 1));
  for (int q = 0; q < 256; ++q)
    (q <= c.t1 ? shares.zero : q <= c.t2 ? shares.v1 : q <= c.tmax ? shares.v2 : shares.passed) += unit * double(histogram.counts[q]);
  return shares;
}

struct Evaluated {
  Network network;
  std::string teacher, teacher_sha256;  // the model file
  std::vector<Codes> codes;      // (sites)
  std::vector<Shares> shares;    // (sites)
  StoredRepair repair;
  Score score;
};

void print_table(const EvaluateOptions& o, const Evaluated& e) {
  fmt::print("{} on {} ({}), teacher {}, split {}\n", e.network.display_name, o.data, o.backend, e.teacher, o.split);
  fmt::print("{:<10}{:>6}{:>6}{:>6}{:>6}{:>6}   share of activations [%]: zero, v1, v2, passed through\n", "site", "t1", "v1", "t2",
             "v2", "tmax");
  const auto sites = e.network.sites();
  for (std::size_t i = 0; i < sites.size(); ++i) {
    const Codes& c = e.codes[i];
    const Shares& s = e.shares[i];
    fmt::print("{:<10}{:>6}{:>6}{:>6}{:>6}{:>6}   {:>6.2f}{:>8.2f}{:>8.2f}{:>8.2f}\n", e.network.layers[sites[i]].name, c.t1, c.v1,
               c.t2, c.v2, c.tmax, s.zero, s.v1, s.v2, s.passed);
  }
  fmt::print("{}", accuracy_lines(e.score, o.split));
  fmt::print("KD {:.6f}, attention {:.6f}, repair {}\n", e.score.mean_kd(), e.score.mean_attention(), e.repair.mode);
}

void print_json(const EvaluateOptions& o, const Evaluated& e) {
  nlohmann::ordered_json json = {{"result", o.result},
                                 {"model", e.network.name},
                                 {"backend", o.backend},
                                 {"teacher", e.teacher},
                                 {"teacher_sha256", e.teacher_sha256},
                                 {"data", o.data},
                                 {"split", o.split},
                                 {"images", e.score.images},
                                 {"acc_teacher", e.score.teacher_accuracy()},
                                 {"acc_student", e.score.student_accuracy()},
                                 {"acc_drop", accuracy_drop(e.score)},
                                 {"kd", e.score.mean_kd()},
                                 {"attention", e.score.mean_attention()},
                                 {"repair", e.repair.mode}};
  const auto sites = e.network.sites();
  for (std::size_t i = 0; i < sites.size(); ++i) {
    const Shares& s = e.shares[i];
    json["shares"][record_key(e.network.layers[sites[i]])] = {{"zero", s.zero}, {"v1", s.v1}, {"v2", s.v2}, {"passed", s.passed}};
  }
  fmt::print("{}\n", json.dump(2));
}

/// Fills in what the command line left open.
void resolve(EvaluateOptions& o, const ResultOrigin& origin) {
  const SearchOptions search;
  if (o.model.empty()) o.model = origin.model.value_or(search.model);
  if (o.backend.empty()) o.backend = origin.backend.value_or(search.backend);
  if (o.data.empty()) o.data = origin.data.value_or(search.data);
  if (o.attention_layers.empty()) o.attention_layers = origin.attention_layers.value_or(search.attention_layers);
  if (o.temperature == 0) o.temperature = origin.temperature.value_or(search.temperature);
  if (!o.repair.empty()) parse_repair_mode(o.repair);
  if (o.format != "table" && o.format != "json") fail("--format: unknown format '{}': expected table or json", o.format);
  make_network(o.model);
}

/// The repair that --repair asks for, fitted here, or else the result's own.
StoredRepair repair_for(const EvaluateOptions& o, const QuantizedNetwork& model, const std::vector<Codes>& codes, const DataSet& data,
                        Scorer& scorer) {
  if (o.repair.empty()) return read_repair(o.result, model.network);
  const RepairMode mode = parse_repair_mode(o.repair);
  if (mode == RepairMode::none) return {};
  if (o.repair_images > data.split_size(Split::search))
    fail("--repair-images: {} images, but the search split of {} has {}", o.repair_images, o.data, data.split_size(Split::search));
  const auto alone = make_local_transport();
  Rollout rollout(*alone, scorer, false);
  std::uint64_t images = 0;
  return {o.repair, RepairFit(rollout, model, mode, o.repair_images).fit(codes, images)};
}

/// The images of --data, or else those that the result was found on.
DataSet load_data(const EvaluateOptions& o, const ResultOrigin& origin, bool data_given) {
  if (data_given || !origin.data) return load_data_set(o.data);
  if (fs::path(o.data).is_absolute() && !fs::is_directory(o.data))
    fail("{} was found on the data in {}, which is no folder any more: give its folder with --data", o.result, o.data);
  DataSet data = load_data_set(o.data);
  if (!origin.data_sha256.empty() && origin.data_sha256 != data.sha256)
    fail("{} was found on other data (sha256 {:.12}...) than {} holds now (sha256 {:.12}...): give the right folder with --data",
         o.result, origin.data_sha256, o.data, data.sha256);
  return data;
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
       fs::exists(result) ? fmt::format("its result is {}", result.string()) : "its result is written when the run is finished");
}

int run_evaluate(EvaluateOptions o) {
  if (o.result.empty())
    throw CLI::ParseError("evaluate: expected the name of a result file (NAME.json)", CLI::ExitCodes::RequiredError);
  if (launched_tasks() > 1) fail("evaluate runs as one process: start it without the launcher that started {}", launched_tasks());
  check_is_a_result(o.result);
  const ResultOrigin origin = read_result_origin(o.result);
  const bool model_given = !o.model.empty(), data_given = !o.data.empty();
  resolve(o, origin);
  const Split split = parse_split(o.split);
  const DataSet data = load_data(o, origin, data_given);
  ModelFile file = load_teacher(o.teacher, o.model, o.backend, data);
  QuantizedNetwork& model = file.network;
  Evaluated e;
  e.teacher = file.path.string();
  e.teacher_sha256 = file.sha256;
  e.codes = read_result(o.result, model.network);
  if (!model_given && !origin.model) spdlog::info("{} names no model: taking {}; --model changes it", o.result, o.model);
  if (!origin.model_sha256.empty() && origin.model_sha256 != file.sha256)
    spdlog::warn("{} was found with another model file: its accuracies need not come out again", o.result);
  if (!origin.data_sha256.empty() && origin.data_sha256 != data.sha256)
    spdlog::warn("{} was found on other images: its accuracies need not come out again", o.result);
  select_attention_layers(model.network, o.attention_layers);
  e.network = model.network;

  Scorer scorer(model, data, o.engine, scoring_threads(o.threads, *make_local_transport()), o.temperature);
  e.repair = repair_for(o, model, e.codes, data, scorer);
  ScoreRequest request{split, split_batch, std::vector<std::uint32_t>(data.split_size(split)), {e.codes}, {e.repair.repair}, {0}, {}};
  std::iota(request.images.begin(), request.images.end(), 0u);
  for (const Score& score : scorer.score(request, 0, request.items())) e.score += score;
  const auto histograms = scorer.histograms(request, 0, request.batches());
  for (std::size_t i = 0; i < e.codes.size(); ++i) e.shares.push_back(segment_shares(histograms[i], e.codes[i]));
  o.format == "json" ? print_json(o, e) : print_table(o, e);
  return 0;
}

}  // namespace

void setup_evaluate(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<EvaluateOptions>();
  EvaluateOptions& o = *options;
  CLI::App* app = program.add_subcommand("evaluate", "Accuracy, KD and shares of activations of a result file on a split");
  app->add_option("result", o.result, "Result file (NAME.json), triseg's or the Python original's");
  app->add_option("--split", o.split, "Images: search, validation or test")->capture_default_str();
  app->add_option("--model", o.model, "Network (default: the result file's, or alexnet)")->check(not_empty("a network"));
  app->add_option("--backend", o.backend, "Quantization scheme: fbgemm or qnnpack (default: the result file's, or fbgemm)")
      ->check(not_empty("fbgemm or qnnpack"));
  app->add_option("--data", o.data, "Data set: fashion-mnist, shapes, or a folder (default: the result file's, or fashion-mnist)")
      ->check(not_empty("a data set or a folder"));
  app->add_option("--teacher", o.teacher, "Model file of the teacher (default: the shipped one)")->check(not_empty("a model file"));
  app->add_option("--kd-T", o.temperature, "Temperature of the distillation term (default: the result file's, or 2)")
      ->check(within(least_temperature, largest_temperature));
  app->add_option("--attention-layers", o.attention_layers,
                  "default, none, or names separated by commas (default: the result file's, or default)")
      ->check(not_empty("default, none, or names of layers"));
  app->add_option("--repair", o.repair,
                  std::string(repair_description) + ", fitted here (default: the result file's own repair, as it stands there)")
      ->check(not_empty("none, layer or channel"));
  app->add_option("--repair-images", o.repair_images, "Images of the search split that --repair is fitted on")
      ->check(whole(1, 1'000'000))->capture_default_str();
  app->add_option("--engine", o.engine, engine_choices())->capture_default_str();
  app->add_option("--threads", o.threads, "Scoring threads; 0: all cores")->check(whole(0, 4096))->capture_default_str();
  app->add_option("--format", o.format, "table or json")->capture_default_str();
  app->callback([options, &exit_code] { exit_code = run_evaluate(*options); });
}

}  // namespace triseg
