#include "learner/strategies/coverage_ladder.hpp"

#include "core/error.hpp"
#include "learner/checkpoint.hpp"
#include "learner/strategies/coverage_target.hpp"
#include "learner/strategies/initial_codes.hpp"

#include <algorithm>

namespace triseg {
namespace {

std::string prefix(std::size_t rung) { return fmt::format("rung{}/", rung); }

std::vector<Codes> starts_of(const Rung& rung) {
  std::vector<Codes> codes;
  for (const SiteData& site : rung.sites) codes.push_back(site.start);
  return codes;
}

class CoverageLadder final : public Strategy {
 public:
  CoverageLadder(std::string_view name, std::vector<Rung> rungs, const PpoOptions& options, std::uint64_t seed) : rungs_(std::move(rungs)) {
    for (const Rung& rung : rungs_) {
      strategies_.push_back(make_strategy(name, rung.sites, options, seed));
      targets_.emplace_back(rung.sites, rung.passed);
    }
  }

  std::uint64_t usable_episodes(std::uint64_t budget) const override { return strategies_.front()->usable_episodes(budget); }

  std::vector<std::vector<Codes>> propose(std::uint64_t first_episode, std::size_t count) override {
    drawn_ = strategies_[rung_of(iteration_)]->propose(first_episode, count);
    auto proposed = drawn_;
    for (auto& codes : proposed) codes = targets_[rung_of(iteration_)].meet(std::move(codes));
    return proposed;
  }

  void learn(std::span<const Episode> episodes, Update& update) override {
    update.part = rung_of(iteration_);
    update.pass_share = rungs_[rung_of(iteration_)].passed;
    // The strategy learns from what it drew: that draws are moved is a part of the problem.
    std::vector<Episode> own(episodes.begin(), episodes.end());
    for (std::size_t i = 0; i < own.size(); ++i) own[i].codes = drawn_[i];
    strategies_[rung_of(iteration_)]->learn(own, update);
    ++iteration_;
  }

  std::vector<Codes> most_probable() const override { return most_probable_of(rung_of(std::max<std::uint64_t>(iteration_, 1) - 1)); }

  std::vector<std::vector<Codes>> incumbents() const override {
    std::vector<std::vector<Codes>> all;
    for (std::size_t r = 0; r < rungs_.size(); ++r)
      for (auto& codes : strategies_[r]->incumbents()) all.push_back(targets_[r].meet(std::move(codes)));
    return all;
  }

  void save(Checkpoint& checkpoint) const override {
    for (std::size_t r = 0; r < rungs_.size(); ++r) {
      Checkpoint own;
      strategies_[r]->save(own);
      for (auto& [name, tensor] : own.tensors) checkpoint.tensors[prefix(r) + name] = std::move(tensor);
      checkpoint.tensors[prefix(r) + "steps"] = {{1}, {static_cast<float>(own.optimizer_steps)}};
      checkpoint.tensors[prefix(r) + "start"] = store_codes(starts_of(rungs_[r]));
    }
  }

  void restore(const Checkpoint& checkpoint) override {
    iteration_ = checkpoint.next_iteration;
    for (std::size_t r = 0; r < rungs_.size(); ++r) {
      Checkpoint own;
      own.optimizer_steps = static_cast<std::uint64_t>(stored_values(checkpoint, prefix(r) + "steps", {1}).front());
      for (const auto& [name, tensor] : checkpoint.tensors)
        if (name.starts_with(prefix(r))) own.tensors[name.substr(prefix(r).size())] = tensor;
      strategies_[r]->restore(own);
    }
  }

 private:
  std::size_t rung_of(std::uint64_t iteration) const { return iteration % rungs_.size(); }
  std::vector<Codes> most_probable_of(std::size_t rung) const { return targets_[rung].meet(strategies_[rung]->most_probable()); }

  std::vector<Rung> rungs_;
  std::vector<std::unique_ptr<Strategy>> strategies_;
  std::vector<CoverageTarget> targets_;
  std::uint64_t iteration_ = 0;
  std::vector<std::vector<Codes>> drawn_;  // (episodes of this iteration)(sites): before they are moved
};

}  // namespace

Rung make_rung(const std::vector<SiteData>& sites, double passed) {
  Rung rung{passed, sites};
  std::vector<Codes> codes;
  for (const SiteData& site : sites) codes.push_back(site.init);
  const CoverageTarget target(sites, passed);
  codes = target.meet(std::move(codes));
  for (std::size_t l = 0; l < sites.size(); ++l) {
    SiteData& site = rung.sites[l];
    site.tmax = codes[l].tmax;
    site.tmax_searched = target.lets_pass();
    site.init = initial_codes(site.tmax);
    site.mse = mse_optimum(site.histogram, site.tmax);
  }
  return rung;
}

std::unique_ptr<Strategy> make_coverage_ladder(std::string_view name, std::vector<Rung> rungs, const PpoOptions& options,
                                               std::uint64_t seed) {
  return std::make_unique<CoverageLadder>(name, std::move(rungs), options, seed);
}

void restore_starts(const Checkpoint& checkpoint, std::span<Rung> rungs) {
  for (std::size_t r = 0; r < rungs.size(); ++r) {
    const auto codes = stored_codes(checkpoint, prefix(r) + "start", rungs[r].sites);
    for (std::size_t l = 0; l < codes.size(); ++l) rungs[r].sites[l].start = codes[l];
  }
}

}  // namespace triseg
