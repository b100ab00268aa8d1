// triseg evaluate: the student of a result file on a split.
#include "core/error.hpp"
#include "learner/confidence.hpp"
#include "learner/model_file.hpp"
#include "learner/result_file.hpp"
#include "learner/selection.hpp"
#include "runner/commands.hpp"
#include "runner/model_lookup.hpp"
#include "runner/ranks.hpp"
#include "runner/transport.hpp"
#include "worker/scorer.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <memory>
#include <numeric>

namespace triseg {
namespace {

struct EvaluateOptions {
  std::string result;
  std::string model;
  std::string backend = "fbgemm";
  std::string data = "fashion-mnist";
  std::string teacher;
  std::string split = "test";
  std::string attention_layers = "default";
  double temperature = 2.0;
  std::string engine = "auto";
  int threads = 0;
  std::string format = "table";
};

/// Images of one record; fixed, because it decides in which order floating-point sums are made.
constexpr std::uint32_t batch_size = 125;

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
  std::vector<Codes> codes;      // (sites)
  std::vector<Shares> shares;    // (sites)
  Score score;
};

void print_table(const EvaluateOptions& o, const Evaluated& e) {
  fmt::print("{:<10}{:>6}{:>6}{:>6}{:>6}{:>6}   share of activations [%]: zero, v1, v2, passed through\n", "site", "t1", "v1", "t2",
             "v2", "tmax");
  const auto sites = e.network.sites();
  for (std::size_t i = 0; i < sites.size(); ++i) {
    const Codes& c = e.codes[i];
    const Shares& s = e.shares[i];
    fmt::print("{:<10}{:>6}{:>6}{:>6}{:>6}{:>6}   {:>6.2f}{:>8.2f}{:>8.2f}{:>8.2f}\n", e.network.layers[sites[i]].name, c.t1, c.v1,
               c.t2, c.v2, c.tmax, s.zero, s.v1, s.v2, s.passed);
  }
  const Interval teacher = wilson_95(e.score.both_right + e.score.teacher_only, e.score.images);
  const Interval student = wilson_95(e.score.both_right + e.score.student_only, e.score.images);
  const Interval drop = drop_95(e.score);
  fmt::print("on {} {} images, with 95 % confidence intervals:\n", e.score.images, o.split);
  fmt::print("teacher accuracy {:6.2f} %  [{:.2f}, {:.2f}]\n", e.score.teacher_accuracy(), teacher.low, teacher.high);
  fmt::print("student accuracy {:6.2f} %  [{:.2f}, {:.2f}]\n", e.score.student_accuracy(), student.low, student.high);
  fmt::print("accuracy drop    {:6.2f} points  [{:.2f}, {:.2f}]\n", accuracy_drop(e.score), drop.low, drop.high);
  fmt::print("KD {:.6f}, attention {:.6f}\n", e.score.mean_kd(), e.score.mean_attention());
}

void print_json(const EvaluateOptions& o, const Evaluated& e) {
  nlohmann::ordered_json json = {{"result", o.result},
                                 {"model", e.network.name},
                                 {"data", o.data},
                                 {"split", o.split},
                                 {"images", e.score.images},
                                 {"acc_teacher", e.score.teacher_accuracy()},
                                 {"acc_student", e.score.student_accuracy()},
                                 {"acc_drop", accuracy_drop(e.score)},
                                 {"kd", e.score.mean_kd()},
                                 {"attention", e.score.mean_attention()}};
  const auto sites = e.network.sites();
  for (std::size_t i = 0; i < sites.size(); ++i) {
    const Shares& s = e.shares[i];
    json["shares"][record_key(e.network.layers[sites[i]])] = {{"zero", s.zero}, {"v1", s.v1}, {"v2", s.v2}, {"passed", s.passed}};
  }
  fmt::print("{}\n", json.dump(2));
}

int run_evaluate(EvaluateOptions o) {
  if (o.format != "table" && o.format != "json") fail("--format: unknown format '{}': expected table or json", o.format);
  const Split split = parse_split(o.split);
  if (o.model.empty()) o.model = result_model(o.result).value_or("alexnet");
  const DataSet data = load_data_set(o.data);
  QuantizedNetwork model = load_model(find_model(o.teacher, make_network(o.model).name, o.data, o.backend));
  if (model.network.name != o.model) fail("--teacher: {} is a {}, not the {} of {}", o.teacher, model.network.name, o.model, o.result);
  Evaluated e;
  e.codes = read_result(o.result, model.network);
  select_attention_layers(model.network, o.attention_layers);
  e.network = model.network;
  check_fit(model.network, data);

  const auto transport = make_transport("local");
  Scorer scorer(model, data, o.engine, scoring_threads(o.threads, *transport), o.temperature);
  ScoreRequest request{split, batch_size, std::vector<std::uint32_t>(data.split_size(split)), {e.codes}};
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
  app->add_option("result", o.result, "Result file (NAME.json), triseg's or the Python original's")->required();
  app->add_option("--split", o.split, "Images: search, validation or test")->capture_default_str();
  app->add_option("--model", o.model, "Network (default: the result file's, or alexnet if it names none)");
  app->add_option("--backend", o.backend, "Quantization scheme: fbgemm or qnnpack")->capture_default_str();
  app->add_option("--data", o.data, "Data set: fashion-mnist, shapes, or a folder")->capture_default_str();
  app->add_option("--teacher", o.teacher, "Model file of the teacher (default: the shipped one)");
  app->add_option("--kd-T", o.temperature, "Temperature of the distillation term")->check(CLI::Range(1e-12, 1e12))->capture_default_str();
  app->add_option("--attention-layers", o.attention_layers, "default, none, or names separated by commas")->capture_default_str();
  app->add_option("--engine", o.engine, "auto, onednn or reference")->capture_default_str();
  app->add_option("--threads", o.threads, "Scoring threads; 0: all cores")->check(CLI::Range(0, 4096))->capture_default_str();
  app->add_option("--format", o.format, "table or json")->capture_default_str();
  app->callback([options, &exit_code] { exit_code = run_evaluate(*options); });
}

}  // namespace triseg
