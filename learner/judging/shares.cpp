#include "learner/judging/shares.hpp"

#include <algorithm>
#include <vector>

namespace triseg {

std::uint64_t total_activations(std::span<const SiteData> sites) {
  std::uint64_t sum = 0;
  for (const SiteData& site : sites) sum += site.histogram.total();
  return sum;
}

double passed_share(std::span<const Histogram> histograms, std::span<const Codes> codes) {
  std::uint64_t passed = 0, total = 0;
  for (std::size_t l = 0; l < histograms.size(); ++l) {
    total += histograms[l].total();
    for (int q = codes[l].tmax + 1; q < 256; ++q) passed += histograms[l].counts[q];
  }
  return double(passed) / double(std::max<std::uint64_t>(1, total));
}

double passed_share(std::span<const SiteData> sites, std::span<const Codes> codes) {
  std::vector<Histogram> histograms;
  for (const SiteData& site : sites) histograms.push_back(site.histogram);
  return passed_share(histograms, codes);
}

}  // namespace triseg
