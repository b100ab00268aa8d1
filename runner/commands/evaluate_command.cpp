// triseg evaluate: the student of a result file on a split.
#include "core/error.hpp"
#include "core/text.hpp"
#include "learner/judging/cost_model.hpp"
#include "learner/judging/selection.hpp"
#include "runner/commands/commands.hpp"
#include "runner/cli/declare_options.hpp"
#include "runner/cli/help.hpp"
#include "runner/cli/option_checks.hpp"
#include "runner/ranks/ranks.hpp"
#include "runner/commands/result_student.hpp"
#include "runner/commands/results_table.hpp"
#include "runner/ranks/transport.hpp"
#include "worker/engines/engines.hpp"
#include "worker/scorer.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <memory>
#include <set>
#include <string>

namespace triseg {
namespace {

struct EvaluateOptions {
  StudentOptions student;
  FittedRepairOptions repair;  // without a mode: the result file's own
  std::string split = "test";
  EngineOptions engine;
  std::string format = "table";
};

struct Evaluated {
  ResultStudent student;           // its repair is the one it was scored with
  std::vector<SiteShares> shares;  // (sites)
  Score score;
};

void print_table(const EvaluateOptions& o, const Evaluated& e) {
  const Problem& problem = e.student.problem;
  fmt::print("{} on {} ({}), teacher {}, split {}\n", problem.network().display_name, printable(o.student.data),
             scheme_name(problem.model.scheme), printable(e.student.model_path.string()), o.split);
  fmt::print("{:<10}{:>6}{:>6}{:>6}{:>6}{:>6}   share of activations [%]: zero, v1, v2, passed through\n", "site", "t1",
             "v1", "t2", "v2", "tmax");
  for (std::size_t i = 0; i < problem.sites.size(); ++i) {
    const Codes& c = e.student.codes[i];
    const SiteShares& s = e.shares[i];
    fmt::print("{:<10}{:>6}{:>6}{:>6}{:>6}{:>6}   {:>6.2f}{:>8.2f}{:>8.2f}{:>8.2f}\n", problem.site(i).name, c.t1, c.v1,
               c.t2, c.v2, c.tmax, 100 * s.zero, 100 * s.v1, 100 * s.v2, 100 * s.passed);
  }
  fmt::print("{}", accuracy_lines(e.score, o.split));
  fmt::print("KD {:.6f}, attention {:.6f}, repair {}\n", e.score.mean_kd(), e.score.mean_attention(),
             printable(e.student.repair.mode));
}

void print_json(const EvaluateOptions& o, const Evaluated& e) {
  const Problem& problem = e.student.problem;
  nlohmann::ordered_json json = {{"result", valid_utf8(o.student.result)},
                                 {"model", problem.network().name},
                                 {"backend", scheme_name(problem.model.scheme)},
                                 {"teacher", valid_utf8(e.student.model_path.string())},
                                 {"teacher_sha256", e.student.model_sha256},
                                 {"data", valid_utf8(o.student.data)},
                                 {"split", o.split},
                                 {"images", e.score.images},
                                 {"acc_teacher", e.score.teacher_accuracy()},
                                 {"acc_student", e.score.student_accuracy()},
                                 {"acc_drop", accuracy_drop(e.score)},
                                 {"kd", e.score.mean_kd()},
                                 {"attention", e.score.mean_attention()},
                                 {"repair", e.student.repair.mode}};
  for (std::size_t i = 0; i < problem.sites.size(); ++i) {
    const SiteShares& s = e.shares[i];
    json["shares"][problem.site(i).name] = {
        {"zero", 100 * s.zero}, {"v1", 100 * s.v1}, {"v2", 100 * s.v2}, {"passed", 100 * s.passed}};
  }
  fmt::print("{}\n", json.dump(2));
}

int run_evaluate(EvaluateOptions o, const std::set<std::string>& given) {
  check(o.repair, given);
  const Split split = parse_split(o.split);
  Evaluated e{load_student(o.student), {}, {}};
  Scorer scorer(e.student.problem, e.student.data, engine_factory(o.engine.engine, e.student.problem),
                scoring_threads(o.engine.threads, *make_local_transport()), o.student.temperature);
  if (o.repair.mode) e.student.repair = fit_repair(e.student, e.student.codes, o.repair, scorer);
  const ScoreRequest request = whole_split(e.student, split, e.student.repair.repair);
  e.score = total_score(scorer, request);
  const auto histograms = scorer.histograms(request, 0, request.batches());
  for (std::size_t i = 0; i < histograms.size(); ++i)
    e.shares.push_back(site_shares(histograms[i], e.student.codes[i]));
  o.format == "json" ? print_json(o, e) : print_table(o, e);
  return 0;
}

}  // namespace

void setup_evaluate(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<EvaluateOptions>();
  EvaluateOptions& o = *options;
  CLI::App* app =
      program.add_subcommand("evaluate", "Accuracy, KD and shares of activations of a result file on a split");
  declare_student_options(*app, o.student);
  app->add_option("--split", o.split, "Images: search, validation or test")
      ->check(one_of(split_names))
      ->capture_default_str();
  declare_fitted_repair(*app, o.repair, "the result file's own repair, as it stands there");
  declare_engine(*app, o.engine);
  app->add_option("--format", o.format, "table or json")->check(one_of(format_names))->capture_default_str();
  arrange_help(*app, {{"Problem", {"--model", "--backend", "--data", "--teacher", "--kd-T", "--attention-layers"}},
                      {"What is scored", {"--split", "--repair", "--repair-images"}},
                      {"Report", {"--format"}},
                      {"Running", {"--engine", "--threads"}}});
  app->callback([=, &exit_code] { exit_code = run_evaluate(*options, given_options(*app)); });
}

}  // namespace triseg
