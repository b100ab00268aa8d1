#include "learner/files/run_fields.hpp"

#include "learner/files/run_columns.hpp"

#include <functional>

namespace triseg {

void add_episodes(std::vector<Field>& fields) {
  const Rows rows{"/episodes", "N", &RunData::episodes};
  const auto add = [&](Label label, auto access) { fields.push_back(column(rows, label, access)); };
  add({"iteration", "1", "iteration, from 0"}, &Episode::iteration);
  add({"reward", "1", "-(kd + attention_weight attention)"}, &Episode::reward);
  add_score("", "", [&](Label label, auto access) {
    add(label, [access](auto& e) -> decltype(auto) { return std::invoke(access, e.score); });
  });
  add({"codes", "1", "the drawn codes"}, &Episode::codes);
  fields.push_back(tmax_column(rows, &Episode::codes));
}

void add_updates(std::vector<Field>& fields) {
  const Rows rows{"/updates", "U", &RunData::updates};
  const auto add = [&](Label label, auto access) { fields.push_back(column(rows, label, access)); };
  add({"iteration", "1", "iteration, from 0"}, &Update::iteration);
  add({"branch", "1", "which of --pass-shares it searches for, from 0"}, &Update::branch);
  fields.back().path_in_version_4 = "/updates/part";
  add({"pass_share", "1",
       "the most of the sites' activations that may pass through: of a searched tmax what was asked for, else what the "
       "sites' tmax lets pass"},
      &Update::pass_share);
  add({"mean_reward", "1", "mean reward of the iteration's episodes"}, &Update::mean_reward);
  add({"best_reward", "1", "best reward of the iteration's episodes"}, &Update::best_reward);
  add({"reference_reward", "1", "reward of the start's codes on the same images"}, &Update::reference_reward);
  add({"policy_loss", "1", "policy loss, last epoch"}, &Update::policy_loss);
  add({"value_loss", "1", "value loss, last epoch"}, &Update::value_loss);
  add({"entropy", "nats", "mean entropy of the policy, last epoch"}, &Update::entropy);
  add({"approx_kl", "nats", "approximate KL(old policy || new), last epoch"}, &Update::approx_kl);
  add({"clip_fraction", "1", "share of clipped ratios, last epoch"}, &Update::clip_fraction);
  add({"update_seconds", "s", "wall clock of the update"}, &Update::update_seconds);
  fields.back().may_differ = true;
  add({"iteration_seconds", "s", "wall clock of the iteration"}, &Update::iteration_seconds);
  fields.back().may_differ = true;
}

void add_evaluations(std::vector<Field>& fields) {
  const Rows rows{"/evaluations", "E", &RunData::evaluations};
  const auto add = [&](Label label, auto access) { fields.push_back(column(rows, label, access)); };
  add({"iteration", "1", "iteration after whose update"}, &Evaluation::iteration);
  add_score("validation_", ", first images of the validation split", [&](Label label, auto access) {
    add(label, [access](auto& e) -> decltype(auto) { return std::invoke(access, e.validation); });
  });
  add({"codes", "1", "the policy's most probable codes"}, &Evaluation::codes);
  fields.push_back(tmax_column(rows, &Evaluation::codes));
}

void add_finalists(std::vector<Field>& fields) {
  const Rows rows{"/finalists", "F", &RunData::finalists};
  const auto add = [&](Label label, auto access) { fields.push_back(column(rows, label, access)); };
  add_score("", ", validation images so far", [&](Label label, auto access) {
    add(label, [access](auto& f) -> decltype(auto) { return std::invoke(access, f.score); });
  });
  add({"record_rewards", "1", "sums of the reward over each record of 125 images so far; NaN behind a row's last"},
      &Finalist::record_rewards);
}

void add_checkpoint(std::vector<Field>& fields) {
  fields.push_back(scalar("/checkpoint/next_iteration", "1", "iteration that a resumed run does next",
                          [](auto& r) -> decltype(auto) { return (r.checkpoint.next_iteration); }));
  fields.push_back(scalar("/checkpoint/optimizer_steps", "1", "steps the optimizer has made",
                          [](auto& r) -> decltype(auto) { return (r.checkpoint.optimizer_steps); }));
}

}  // namespace triseg
