// A search problem without networks: three sites and a reward that is a formula of the codes.
#pragma once

#include "learner/strategies/initial_codes.hpp"
#include "learner/strategies/strategy.hpp"

#include <cmath>
#include <string>
#include <vector>

namespace triseg::testing {

inline SiteData site(std::size_t index, std::size_t sites, int tmax) {
  SiteData s;
  s.name = "site" + std::to_string(index);
  s.tmax = tmax;
  for (int q = 0; q < 256; ++q)
    s.histogram.counts[q] = static_cast<std::uint64_t>(10000 * std::exp(-q / (10.0 + double(index))));
  s.init = initial_codes(tmax);
  s.mse = s.start = mse_optimum(s.histogram, tmax);
  s.state = site_state(s.histogram, index, sites);
  return s;
}

inline std::vector<SiteData> three_sites() { return {site(0, 3, 35), site(1, 3, 60), site(2, 3, 255)}; }

/// The same with a tmax to search, which starts at 35, 60 and 90.
inline std::vector<SiteData> three_sites_of_searched_tmax() {
  std::vector<SiteData> sites{site(0, 3, 35), site(1, 3, 60), site(2, 3, 90)};
  for (SiteData& site : sites) site.tmax_searched = true;
  return sites;
}

/// Codes near the start's v1 + 3 are best: the quadratic distance of every site's v1 to that.
inline double toy_reward(const std::vector<SiteData>& sites, const std::vector<Codes>& codes) {
  double reward = 0;
  for (std::size_t i = 0; i < sites.size(); ++i) {
    const double d = codes[i].v1 - (sites[i].mse.v1 + 3.0);
    reward -= d * d;
  }
  return reward;
}

inline Update one_iteration(Strategy& strategy, const std::vector<SiteData>& sites, std::uint64_t iteration,
                            std::size_t count = 64) {
  std::vector<Episode> episodes;
  Draws draws = strategy.propose(iteration * count, count);
  for (auto& codes : draws.codes) {
    Episode e;
    e.iteration = iteration;
    e.reward = toy_reward(sites, codes);
    e.codes = std::move(codes);
    episodes.push_back(std::move(e));
  }
  Update update;
  for (const Episode& e : episodes) update.mean_reward += e.reward / double(count);
  strategy.learn(episodes, draws.log_probability, update);
  return update;
}

}  // namespace triseg::testing
