#include "learner/strategies/strategies.hpp"

#include "core/error.hpp"
#include "learner/strategies/cma_es.hpp"
#include "learner/strategies/coordinate_search.hpp"
#include "learner/strategies/mse_only.hpp"
#include "learner/strategies/random_search.hpp"

namespace triseg {

std::unique_ptr<Strategy> make_strategy(const StrategyOptions& o, const std::vector<SiteData>& sites,
                                        std::uint64_t seed, const GradientSource& source) {
  switch (o.kind) {
    case StrategyKind::ppo: return make_ppo(sites, o.ppo, o.start, seed);
    case StrategyKind::cma_es: return make_cma_es(sites, o.start.width_tolerance, seed);
    case StrategyKind::coordinate: return make_coordinate_search(sites);
    case StrategyKind::random: return make_random_search(sites, seed);
    case StrategyKind::mse: return make_mse_only(sites);
    case StrategyKind::ste:
      if (!source.gradient)
        fail("--strategy ste: it follows gradients, which only `triseg search` gets, from triseg-train");
      return make_ste(sites, o.ste, o.start.width_tolerance, source);
  }
  fail("unknown strategy {}", static_cast<int>(o.kind));
}

}  // namespace triseg
