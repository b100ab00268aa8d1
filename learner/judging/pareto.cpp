#include "learner/judging/pareto.hpp"

#include "core/error.hpp"
#include "core/text.hpp"
#include "learner/judging/cost_model.hpp"
#include "learner/judging/selection.hpp"
#include "learner/judging/shares.hpp"

#include <algorithm>

namespace triseg {

bool dominates(const Objectives& a, const Objectives& b) {
  return a.coverage >= b.coverage && a.kd <= b.kd && a.accuracy >= b.accuracy && a.energy <= b.energy && a != b;
}

std::vector<std::size_t> non_dominated(std::span<const Objectives> candidates) {
  std::vector<std::size_t> front;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const auto beats = [&](const Objectives& other) { return dominates(other, candidates[i]); };
    const auto earlier = candidates.first(i);
    if (std::none_of(candidates.begin(), candidates.end(), beats) &&
        std::find(earlier.begin(), earlier.end(), candidates[i]) == earlier.end())
      front.push_back(i);
  }
  return front;
}

std::vector<Objectives> objectives_of(const RunData& run) {
  std::vector<Objectives> objectives;
  for (const Candidate& c : std::span(run.top).first(count_scored_on_all(run.top))) {
    const NetworkCost cost = network_cost(run.network, run.sites, c.codes, run.energy);
    objectives.push_back(
        {cost.coverage, c.validation.mean_kd(), c.validation.student_accuracy(), cost.energy.staircase});
  }
  return objectives;
}

std::string pareto_csv(const RunData& run) {
  const std::vector<Objectives> objectives = objectives_of(run);
  std::string csv = "top_index,origin,episode,coverage,passed,validation_kd,validation_accuracy,energy_pj";
  for (const SiteData& site : run.sites) csv.append(",").append(csv_cell(site.name));
  csv += "\n";
  for (const std::size_t row : non_dominated(objectives)) {
    const Candidate& c = run.top[row];
    const Objectives& o = objectives[row];
    csv +=
        fmt::format("{},{},{},{},{},{},{},{}", row, c.origin, c.origin == "episode" ? fmt::format("{}", c.episode) : "",
                    o.coverage, passed_share(run.sites, c.codes), o.kd, o.accuracy, o.energy);
    for (const Codes& q : c.codes) csv += fmt::format(",{} {} {} {} {}", q.t1, q.v1, q.t2, q.v2, q.tmax);
    csv += "\n";
  }
  return csv;
}

}  // namespace triseg
