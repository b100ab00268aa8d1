#include "runner/choose_start.hpp"

#include "learner/judging/selection.hpp"
#include "learner/strategies/starts.hpp"

#include <spdlog/spdlog.h>

namespace triseg {

std::uint64_t choose_starts(Rollout& rollout, const Problem& problem, const IterationOptions& o, WarmStart warm_start,
                            double attention_weight, std::span<std::vector<SiteData>* const> branches) {
  std::vector<std::vector<Start>> starts;  // (branches)(starts)
  for (const std::vector<SiteData>* sites : branches) starts.push_back(analytic_starts(problem, *sites));
  const auto take = [&](std::size_t branch, std::size_t which) {
    auto& sites = *branches[branch];
    for (std::size_t i = 0; i < sites.size(); ++i) sites[i].start = starts[branch][which].codes[i];
  };
  const std::size_t each = starts.front().size();
  if (warm_start != WarmStart::best) {
    const std::string_view name = warm_start == WarmStart::mse ? "mse" : "init";
    for (std::size_t p = 0; p < branches.size(); ++p)
      for (std::size_t i = 0; i < each; ++i)
        if (starts[p][i].name == name) take(p, i);
    return 0;
  }
  ScoreRequest request =
      image_range(Split::search, o.batch_size, 0, std::size_t{o.calib_batches} * o.batch_size, "start");
  for (const auto& of_branch : starts)
    for (const Start& start : of_branch) request.candidates.push_back(start.codes);
  const std::vector<Score> totals = totals_of(rollout.score(request), request.candidates.size());
  for (std::size_t p = 0; p < branches.size(); ++p) {
    const auto reward_of = [&](std::size_t i) { return reward(totals[p * each + i], attention_weight); };
    std::size_t best = 0;
    std::vector<std::string> tried;
    for (std::size_t i = 0; i < each; ++i) {
      tried.push_back(fmt::format("{} {:.5f}", starts[p][i].name, reward_of(i)));
      if (reward_of(i) > reward_of(best)) best = i;
    }
    spdlog::info("[start] {}{}, which has the best reward of the analytic starts on the calibration images: {}",
                 p > 0 ? fmt::format("branch {}: ", p - 1) : "", starts[p][best].name, fmt::join(tried, ", "));
    take(p, best);
  }
  return request.images.size() * request.candidates.size();
}

}  // namespace triseg
