#include "runner/display/rank_use.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

namespace triseg {

std::string RankUse::text() const {
  return ranks == 1 ? fmt::format("scoring {:.0f} %, learning {:.0f} %", 100 * scoring, 100 * learning)
                    : fmt::format("ranks busy {:.0f} % (least {:.0f} %)", 100 * mean, 100 * least);
}

RankUse rank_use(const RankTimes& from, const RankTimes& to) {
  const double seconds = std::chrono::duration<double>(to.moment - from.moment).count();
  const auto share = [&](double busy) { return seconds > 0 ? std::clamp(busy / seconds, 0.0, 1.0) : 0.0; };
  const std::size_t ranks = to.scoring.size();
  const double learning = to.learning - from.learning;
  RankUse use{ranks, share(to.scoring[0] - from.scoring[0]), share(learning), 0, 1};
  for (std::size_t r = 0; r < ranks; ++r) {
    const double busy = share(to.scoring[r] - from.scoring[r] + (r == 0 ? learning : 0));
    use.mean += busy / double(ranks);
    use.least = std::min(use.least, busy);
  }
  return use;
}

}  // namespace triseg
