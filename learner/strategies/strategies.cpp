#include "learner/strategies/strategies.hpp"

#include "core/error.hpp"
#include "learner/strategies/cma_es.hpp"
#include "learner/strategies/coordinate_search.hpp"
#include "learner/strategies/mse_only.hpp"
#include "learner/strategies/random_search.hpp"

namespace triseg {
namespace {

struct StrategyEntry {
  std::string_view name;
  std::unique_ptr<Strategy> (*make)(const std::vector<SiteData>&, const PpoOptions&, std::uint64_t seed);
};

constexpr StrategyEntry strategies[] = {
    {"ppo", make_ppo},
    {"cma-es", [](const std::vector<SiteData>& sites, const PpoOptions& o, std::uint64_t seed) {
       return make_cma_es(sites, o.width_tolerance, seed);
     }},
    {"coordinate", [](const std::vector<SiteData>& sites, const PpoOptions&, std::uint64_t) { return make_coordinate_search(sites); }},
    {"random", [](const std::vector<SiteData>& sites, const PpoOptions&, std::uint64_t seed) { return make_random_search(sites, seed); }},
    {"mse", [](const std::vector<SiteData>& sites, const PpoOptions&, std::uint64_t) { return make_mse_only(sites); }},
};

}  // namespace

std::vector<std::string_view> strategy_names() {
  std::vector<std::string_view> names;
  for (const auto& entry : strategies) names.push_back(entry.name);
  return names;
}

std::unique_ptr<Strategy> make_strategy(std::string_view name, const std::vector<SiteData>& sites, const PpoOptions& options,
                                        std::uint64_t seed) {
  for (const auto& entry : strategies)
    if (entry.name == name) return entry.make(sites, options, seed);
  fail("unknown strategy '{}': expected one of {}", name, fmt::join(strategy_names(), ", "));
}

}  // namespace triseg
