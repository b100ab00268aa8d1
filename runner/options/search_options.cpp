#include "runner/options/search_options.hpp"

#include "core/error.hpp"
#include "learner/strategies/starts.hpp"

#include <algorithm>

namespace triseg {
namespace {

/// Pass shares that are searched for, at most: those of which several come to the same are one.
std::uint64_t shares_of(const ObjectiveOptions& o) {
  return !o.pass_shares.empty()               ? o.pass_shares.size()
         : o.objective == Objective::accuracy ? 1
                                              : default_share_factors.size();
}

}  // namespace

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
  const std::uint64_t shares = shares_of(o.objective);
  const std::uint64_t each = o.iteration.episodes_per_update, iterations = (o.episodes + each - 1) / each;
  if (o.iteration.tmax.mode == TmaxMode::search && o.strategy.kind != StrategyKind::mse && iterations < shares)
    fail(
        "--pass-shares: {} shares need as many iterations, found {} ({} episodes in iterations of {}): raise "
        "--episodes or name fewer "
        "shares",
        shares, iterations, o.episodes, each);
}

std::size_t most_finalists(const SearchOptions& o) {
  const std::size_t episodes = std::min<std::uint64_t>(o.selection.top_k, o.episodes);
  const std::size_t given = o.start.empty() ? 0 : 1;
  return episodes + given +
         (o.iteration.tmax.mode == TmaxMode::search ? 2 * shares_of(o.objective) : 1 + analytic_start_count);
}

bool as_before(std::string_view option, std::string_view value) {
  return (option == "final-scoring" && value == name_of(final_scorings, FinalScoring::all)) ||
         (option == "lag" && value == "0") || (option == "start" && value.empty()) ||
         (option == "ste-rate" && value == fmt::format("{}", SteOptions().rate)) ||
         (option == "ste-smoothing" && value == fmt::format("{}", SteOptions().smoothing));
}

}  // namespace triseg
