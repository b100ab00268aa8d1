#include "learner/strategies/starts.hpp"

#include "core/error.hpp"
#include "learner/strategies/initial_codes.hpp"

namespace triseg {

std::vector<Start> analytic_starts(const Problem& problem, const std::vector<SiteData>& sites) {
  std::vector<Start> starts{{"init", {}}, {"mse", {}}};
  for (const SiteData& site : sites) {
    starts[0].codes.push_back(site.init);
    starts[1].codes.push_back(site.mse);
  }
  for (const int factor : balance_factors) {
    Start start{fmt::format("balanced-{}", factor), {}};
    for (std::size_t i = 0; i < sites.size(); ++i)
      start.codes.push_back(balanced_optimum(sites[i].histogram, sites[i].tmax,
                                             factor * mean_weight(problem.model, problem.sites[i], problem.sites)));
    starts.push_back(std::move(start));
  }
  return starts;
}

}  // namespace triseg
