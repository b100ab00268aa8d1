#include "learner/judging/shares.hpp"

#include <algorithm>

namespace triseg {

std::uint64_t total_activations(std::span<const SiteData> sites) {
  std::uint64_t sum = 0;
  for (const SiteData& site : sites) sum += site.histogram.total();
  return sum;
}

double passed_share(std::span<const SiteData> sites, std::span<const Codes> codes) {
  std::uint64_t passed = 0;
  for (std::size_t l = 0; l < sites.size(); ++l)
    for (int q = codes[l].tmax + 1; q < 256; ++q) passed += sites[l].histogram.counts[q];
  return double(passed) / double(std::max<std::uint64_t>(1, total_activations(sites)));
}

}  // namespace triseg
