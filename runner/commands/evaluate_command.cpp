// triseg evaluate: the student of a result file on a split.
#include "core/error.hpp"
#include "learner/judging/selection.hpp"
#include "runner/commands/commands.hpp"
#include "runner/option_checks.hpp"
#include "runner/ranks/ranks.hpp"
#include "runner/repair_fit.hpp"
#include "runner/commands/result_student.hpp"
#include "runner/commands/results_table.hpp"
#include "runner/search_options.hpp"
#include "runner/ranks/transport.hpp"
#include "worker/engines/engines.hpp"
#include "worker/scorer.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <memory>

namespace triseg {
namespace {

struct EvaluateOptions {
  StudentOptions student;
  std::string repair;  // empty: the result file's own
  std::uint32_t repair_images = SearchOptions{}.repair_images;
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
  ResultStudent student;         // its repair is the one it was scored with
  std::vector<Shares> shares;    // (sites)
  Score score;
};

void print_table(const EvaluateOptions& o, const Evaluated& e) {
  const Network& network = e.student.teacher.network.network;
  fmt::print("{} on {} ({}), teacher {}, split {}\n", network.display_name, o.student.data, o.student.backend,
             e.student.teacher.path.string(), o.split);
  fmt::print("{:<10}{:>6}{:>6}{:>6}{:>6}{:>6}   share of activations [%]: zero, v1, v2, passed through\n", "site", "t1", "v1", "t2",
             "v2", "tmax");
  const auto sites = network.sites();
  for (std::size_t i = 0; i < sites.size(); ++i) {
    const Codes& c = e.student.codes[i];
    const Shares& s = e.shares[i];
    fmt::print("{:<10}{:>6}{:>6}{:>6}{:>6}{:>6}   {:>6.2f}{:>8.2f}{:>8.2f}{:>8.2f}\n", network.layers[sites[i]].name, c.t1, c.v1,
               c.t2, c.v2, c.tmax, s.zero, s.v1, s.v2, s.passed);
  }
  fmt::print("{}", accuracy_lines(e.score, o.split));
  fmt::print("KD {:.6f}, attention {:.6f}, repair {}\n", e.score.mean_kd(), e.score.mean_attention(), e.student.repair.mode);
}

void print_json(const EvaluateOptions& o, const Evaluated& e) {
  const Network& network = e.student.teacher.network.network;
  nlohmann::ordered_json json = {{"result", o.student.result},
                                 {"model", network.name},
                                 {"backend", o.student.backend},
                                 {"teacher", e.student.teacher.path.string()},
                                 {"teacher_sha256", e.student.teacher.sha256},
                                 {"data", o.student.data},
                                 {"split", o.split},
                                 {"images", e.score.images},
                                 {"acc_teacher", e.score.teacher_accuracy()},
                                 {"acc_student", e.score.student_accuracy()},
                                 {"acc_drop", accuracy_drop(e.score)},
                                 {"kd", e.score.mean_kd()},
                                 {"attention", e.score.mean_attention()},
                                 {"repair", e.student.repair.mode}};
  const auto sites = network.sites();
  for (std::size_t i = 0; i < sites.size(); ++i) {
    const Shares& s = e.shares[i];
    json["shares"][record_key(network.layers[sites[i]])] = {{"zero", s.zero}, {"v1", s.v1}, {"v2", s.v2}, {"passed", s.passed}};
  }
  fmt::print("{}\n", json.dump(2));
}

/// The repair that --repair asks for, fitted here.
StoredRepair fit_repair_of(const ResultStudent& student, const EvaluateOptions& o, Scorer& scorer) {
  const RepairMode mode = parse_repair_mode(o.repair);
  if (mode == RepairMode::none) return {};
  const DataSet& data = student.data;
  if (o.repair_images > data.split_size(Split::search))
    fail("--repair-images: {} images, but the search split of {} has {}", o.repair_images, o.student.data,
         data.split_size(Split::search));
  const auto alone = make_local_transport();
  Rollout rollout(*alone, scorer, false);
  std::uint64_t images = 0;
  return {o.repair, RepairFit(rollout, student.teacher.network, mode, o.repair_images).fit(student.codes, images)};
}

int run_evaluate(EvaluateOptions o) {
  if (!o.repair.empty()) parse_repair_mode(o.repair);
  if (o.format != "table" && o.format != "json") fail("--format: unknown format '{}': expected table or json", o.format);
  const Split split = parse_split(o.split);
  Evaluated e{load_student(o.student), {}, {}};
  Scorer scorer(e.student.teacher.network, e.student.data, engine_factory(o.engine, e.student.teacher.network), scoring_threads(o.threads, *make_local_transport()),
                o.student.temperature);
  if (!o.repair.empty()) e.student.repair = fit_repair_of(e.student, o, scorer);
  const ScoreRequest request = whole_split(e.student, split, e.student.repair.repair);
  e.score = total_score(scorer, request);
  const auto histograms = scorer.histograms(request, 0, request.batches());
  for (std::size_t i = 0; i < histograms.size(); ++i) e.shares.push_back(segment_shares(histograms[i], e.student.codes[i]));
  o.format == "json" ? print_json(o, e) : print_table(o, e);
  return 0;
}

}  // namespace

void setup_evaluate(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<EvaluateOptions>();
  EvaluateOptions& o = *options;
  CLI::App* app = program.add_subcommand("evaluate", "Accuracy, KD and shares of activations of a result file on a split");
  declare_student_options(*app, o.student);
  app->add_option("--split", o.split, "Images: search, validation or test")->capture_default_str();
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
