#include "learner/strategies/start_width.hpp"

#include "learner/strategies/initial_codes.hpp"

#include <algorithm>

namespace triseg {

double start_width(const SiteData& site, const Codes& start, Head head, double tolerance) {
  const double limit = double(squared_error(site.histogram, start)) * (1.0 + tolerance);
  double total = 0;
  for (int direction : {-1, 1}) {
    int distance = 0;
    for (Codes moved = start; distance < 256; ++distance) {
      const int next = code_of(moved, head) + direction;
      if (next < 0 || next >= 256) break;
      code_of(moved, head) = static_cast<std::uint8_t>(next);
      if (!is_legal(moved) || double(squared_error(site.histogram, moved)) > limit) break;
    }
    total += distance;
  }
  return std::max(1.0, total / 2.0);
}

}  // namespace triseg
