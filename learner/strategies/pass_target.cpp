#include "learner/strategies/pass_target.hpp"

#include "learner/strategies/action_space.hpp"
#include "learner/judging/shares.hpp"

#include <algorithm>

namespace triseg {
namespace {

int moved(int tmax, int by) { return std::clamp(tmax + by, smallest_tmax, 255); }

}  // namespace

PassTarget::PassTarget(const std::vector<SiteData>& sites, double pass_share)
    : may_pass_(static_cast<std::uint64_t>(pass_share * double(total_activations(sites)) *
                                           (1 + 1e-12))) {  // n / total means n
  for (const SiteData& site : sites) {
    auto& above = above_.emplace_back();
    above[255] = 0;
    for (int q = 255; q > 0; --q) above[q - 1] = above[q] + site.histogram.counts[q];
  }
}

std::vector<Codes> PassTarget::meet(std::vector<Codes> codes) const {
  const auto passes = [&](int by) {
    std::uint64_t count = 0;
    for (std::size_t l = 0; l < codes.size(); ++l) count += above_[l][moved(codes[l].tmax, by)];
    return count;
  };
  int by = may_pass_ == 0 ? 255 : -255;
  while (by < 255 && passes(by) > may_pass_) ++by;
  for (Codes& c : codes) {
    c.tmax = static_cast<std::uint8_t>(moved(c.tmax, by));
    for (Head head : drawn_heads(false)) {
      const auto [first, last] = legal_range(head, c);
      code_of(c, head) = static_cast<std::uint8_t>(std::clamp<int>(code_of(c, head), first, last));
    }
  }
  return codes;
}

}  // namespace triseg
