#include "runner/choose_start.hpp"

#include "learner/judging/selection.hpp"
#include "learner/strategies/starts.hpp"

#include <spdlog/spdlog.h>

#include <numeric>

namespace triseg {

std::uint64_t choose_starts(Rollout& rollout, const QuantizedNetwork& model, const SearchOptions& o,
                            std::span<std::vector<SiteData>* const> problems) {
  std::vector<std::vector<Start>> starts;  // (problems)(starts)
  for (const std::vector<SiteData>* sites : problems) starts.push_back(analytic_starts(model, *sites));
  const auto take = [&](std::size_t problem, std::size_t which) {
    auto& sites = *problems[problem];
    for (std::size_t i = 0; i < sites.size(); ++i) sites[i].start = starts[problem][which].codes[i];
  };
  const std::size_t each = starts.front().size();
  if (o.ppo.warm_start != WarmStart::best) {
    const std::string_view name = o.ppo.warm_start == WarmStart::mse ? "mse" : "init";
    for (std::size_t p = 0; p < problems.size(); ++p)
      for (std::size_t i = 0; i < each; ++i)
        if (starts[p][i].name == name) take(p, i);
    return 0;
  }
  ScoreRequest request{Split::search, o.batch_size, std::vector<std::uint32_t>(std::size_t{o.calib_batches} * o.batch_size), {}, {}, {}, "start"};
  std::iota(request.images.begin(), request.images.end(), 0u);
  for (const auto& of_problem : starts)
    for (const Start& start : of_problem) request.candidates.push_back(start.codes);
  const std::vector<Score> totals = totals_of(rollout.score(request), request.candidates.size());
  for (std::size_t p = 0; p < problems.size(); ++p) {
    const auto reward_of = [&](std::size_t i) { return reward(totals[p * each + i], o.attention_weight); };
    std::size_t best = 0;
    std::vector<std::string> tried;
    for (std::size_t i = 0; i < each; ++i) {
      tried.push_back(fmt::format("{} {:.5f}", starts[p][i].name, reward_of(i)));
      if (reward_of(i) > reward_of(best)) best = i;
    }
    spdlog::info("[start] {}{} has the best reward on the calibration images: {}", p > 0 ? fmt::format("part {}: ", p - 1) : "", starts[p][best].name,
                 fmt::join(tried, ", "));
    take(p, best);
  }
  return request.images.size() * request.candidates.size();
}

}  // namespace triseg
