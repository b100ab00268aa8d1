#include "runner/search_options.hpp"

#include "core/error.hpp"

namespace triseg {

void complete_options(IterationOptions& o, const Problem& problem) {
  const std::uint64_t sites = problem.sites.size();
  if (o.update_timestep > 0) o.episodes_per_update = (o.update_timestep + sites - 1) / sites;
}

void complete_options(SearchOptions& o, const Problem& problem) {
  complete_options(o.iteration, problem);
  o.problem.model = problem.network().name;
  o.problem.backend = problem.model.scheme;
  if (o.strategy.kind == StrategyKind::mse)
    o.strategy.start.warm_start = WarmStart::mse;  // nothing starts anywhere: no start is chosen
  if (o.objective.objective != Objective::accuracy) o.final_scoring = FinalScoring::all;
  if (o.output.result_file.empty()) o.output.result_file = problem.network().name + ".json";
  const ObjectiveOptions& objective = o.objective;
  const std::size_t shares = !objective.pass_shares.empty()               ? objective.pass_shares.size()
                             : objective.objective == Objective::accuracy ? 1
                                                                          : default_share_factors.size();
  const std::uint64_t each = o.iteration.episodes_per_update, iterations = (o.episodes + each - 1) / each;
  if (o.iteration.tmax.mode == TmaxMode::search && o.strategy.kind != StrategyKind::mse && iterations < shares)
    fail(
        "--pass-shares: {} shares need as many iterations, found {} ({} episodes in iterations of {}): raise "
        "--episodes or name fewer "
        "shares",
        shares, iterations, o.episodes, each);
}

bool as_before(std::string_view option, std::string_view value) {
  return (option == "final-scoring" && value == name_of(final_scorings, FinalScoring::all)) ||
         (option == "lag" && value == "0") || (option == "start" && value.empty());
}

}  // namespace triseg
