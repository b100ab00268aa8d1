#include "runner/choose_start.hpp"

#include "learner/selection.hpp"
#include "learner/starts.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <numeric>

namespace triseg {

std::uint64_t choose_start(Rollout& rollout, const QuantizedNetwork& model, const SearchOptions& o, std::vector<SiteData>& sites) {
  const auto starts = analytic_starts(model, sites);
  const auto take = [&](std::size_t which) {
    for (std::size_t i = 0; i < sites.size(); ++i) sites[i].start = starts[which].codes[i];
  };
  if (o.ppo.warm_start != WarmStart::best) {
    const std::string_view name = o.ppo.warm_start == WarmStart::mse ? "mse" : "init";
    take(std::find_if(starts.begin(), starts.end(), [&](const Start& s) { return s.name == name; }) - starts.begin());
    return 0;
  }
  ScoreRequest request{Split::search, o.batch_size, std::vector<std::uint32_t>(std::size_t{o.calib_batches} * o.batch_size), {}, {}, {}, "start"};
  std::iota(request.images.begin(), request.images.end(), 0u);
  for (const Start& start : starts) request.candidates.push_back(start.codes);
  std::vector<Score> totals(starts.size());
  const auto records = rollout.score(request);
  for (std::size_t i = 0; i < records.size(); ++i) totals[i % starts.size()] += records[i];
  std::size_t best = 0;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    spdlog::info("[start] {}: reward {:.5f} on the calibration images", starts[i].name, reward(totals[i], o.attention_weight));
    if (reward(totals[i], o.attention_weight) > reward(totals[best], o.attention_weight)) best = i;
  }
  take(best);
  return request.images.size() * starts.size();
}

}  // namespace triseg
