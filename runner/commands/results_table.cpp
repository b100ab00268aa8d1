#include "runner/commands/results_table.hpp"

#include "learner/judging/confidence.hpp"
#include "learner/judging/cost_model.hpp"
#include "learner/judging/selection.hpp"

#include <spdlog/fmt/fmt.h>

#include <cmath>

namespace triseg {

namespace {

/// calibrated: both were measured at the same tmax.
std::string kd_line(double kd, double mse_kd, bool calibrated) {
  const double ratio = kd / mse_kd;
  const std::string compared = std::isfinite(ratio)
                                   ? fmt::format("{:.2f} times the MSE optimum's {:.5f}", ratio, mse_kd)
                                   : fmt::format("the MSE optimum's is {:.5g}: no ratio", mse_kd);
  return fmt::format("KD {:.5f}, {}{}\n", kd, compared,
                     calibrated ? "" : " at the calibrated tmax, where another share passes");
}

}  // namespace

std::string accuracy_lines(const Score& score, std::string_view split) {
  const Interval teacher = wilson_95(score.both_right + score.teacher_only, score.images);
  const Interval student = wilson_95(score.both_right + score.student_only, score.images);
  const Interval drop = drop_95(score);
  return fmt::format("on {} {} images, with 95 % confidence intervals:\n", score.images, split) +
         fmt::format("teacher accuracy {:6.2f} %  [{:.2f}, {:.2f}]\n", score.teacher_accuracy(), teacher.low,
                     teacher.high) +
         fmt::format("student accuracy {:6.2f} %  [{:.2f}, {:.2f}]\n", score.student_accuracy(), student.low,
                     student.high) +
         fmt::format("accuracy drop    {:6.2f} points  [{:.2f}, {:.2f}]\n", accuracy_drop(score), drop.low, drop.high) +
         fmt::format("McNemar's test: {} images only the teacher has right, {} only the student, p = {:.3g}\n",
                     score.teacher_only, score.student_only, mcnemar_p(score));
}

std::string results_table(const RunData& run) {
  const Candidate& chosen = run.top[run.selected.top_index];
  std::string table;
  if (!run.selected.within_max_acc_drop)
    table += "no candidate stayed within --max-acc-drop on the validation split; this is the one of best reward\n";
  table += fmt::format("{:<10}{:>6}{:>6}{:>6}{:>6}{:>6}\n", "site", "t1", "v1", "t2", "v2", "tmax");
  for (std::size_t i = 0; i < run.sites.size(); ++i) {
    const Codes& c = chosen.codes[i];
    table += fmt::format("{:<10}{:>6}{:>6}{:>6}{:>6}{:>6}\n", run.sites[i].name, c.t1, c.v1, c.t2, c.v2, c.tmax);
  }
  return table + outcome_lines(run);
}

std::string outcome_lines(const RunData& run) {
  const Candidate& chosen = run.top[run.selected.top_index];
  const Score& test = run.selected.test;
  std::string table = accuracy_lines(test, "test");
  bool calibrated = true;
  for (std::size_t i = 0; i < run.sites.size(); ++i) calibrated &= chosen.codes[i].tmax == run.sites[i].tmax;
  table += kd_line(test.mean_kd(), run.selected.test_mse.mean_kd(), calibrated);
  if (run.selected.test_mse_repaired.images > 0)
    table += fmt::format("the MSE optimum with a repair of its own: KD {:.5f}, student accuracy {:.2f} %\n",
                         run.selected.test_mse_repaired.mean_kd(), run.selected.test_mse_repaired.student_accuracy());
  const Gap gap = validation_gap(chosen.validation, test, run.attention_weight);
  table += fmt::format("from validation to test: KD {:+.5f}, student accuracy {:+.2f}, accuracy drop {:+.2f} points\n",
                       gap.kd, gap.student_accuracy, gap.accuracy_drop);
  table += fmt::format(
      "{} of {} candidates are not told from the best on validation (rewards within 1.96 standard errors)\n",
      count_within_error(run.top), run.top.size());
  const NetworkCost cost = network_cost(run.network, run.sites, chosen.codes, run.energy);
  table += fmt::format(
      "coverage {:.1f} %, {:.2f} bits an activation, multiplications {:.1f} % skipped and {:.1f} % by constants, "
      "energy {:.1f} % of exact, {:.1f} % of exact with zeros skipped (estimates)\n",
      100 * cost.coverage, cost.coded_bits, 100 * cost.skipped, 100 * cost.constant,
      100 * cost.energy.staircase / cost.energy.exact, 100 * cost.energy.staircase / cost.energy.exact_skipping);
  return table;
}

}  // namespace triseg
