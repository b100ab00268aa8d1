#include "learner/strategies/branches.hpp"

#include "core/error.hpp"
#include "learner/checkpoint.hpp"
#include "learner/strategies/pass_target.hpp"
#include "learner/strategies/initial_codes.hpp"

#include <algorithm>

namespace triseg {
namespace {

std::string prefix(std::size_t branch) { return fmt::format("branch{}/", branch); }

std::vector<Codes> starts_of(const Branch& branch) {
  std::vector<Codes> codes;
  for (const SiteData& site : branch.sites) codes.push_back(site.start);
  return codes;
}

class Branches final : public Strategy {
 public:
  Branches(const StrategyOptions& options, std::vector<Branch> branches, std::uint64_t seed,
           const GradientSource& source)
      : branches_(std::move(branches)) {
    for (const Branch& branch : branches_) {
      strategies_.push_back(make_strategy(options, branch.sites, seed, source));
      targets_.emplace_back(branch.sites, branch.pass_share);
    }
  }

  std::uint64_t usable_episodes(std::uint64_t budget) const override {
    return strategies_.front()->usable_episodes(budget);
  }

  Draws propose(std::uint64_t first_episode, std::size_t count) override {
    Draws proposed = strategies_[branch_of(iteration_)]->propose(first_episode, count);
    drawn_ = proposed.codes;
    proposed.log_probability.clear();
    for (auto& codes : proposed.codes) codes = targets_[branch_of(iteration_)].meet(std::move(codes));
    return proposed;
  }

  void learn(std::span<const Episode> episodes, std::span<const float>, Update& update) override {
    update.branch = branch_of(iteration_);
    update.pass_share = branches_[branch_of(iteration_)].pass_share;
    // The strategy learns from what it drew: that draws are moved is a part of the problem.
    std::vector<Episode> own(episodes.begin(), episodes.end());
    for (std::size_t i = 0; i < own.size(); ++i) own[i].codes = drawn_[i];
    strategies_[branch_of(iteration_)]->learn(own, {}, update);
    ++iteration_;
  }

  std::vector<Codes> most_probable() const override {
    return most_probable_of(branch_of(std::max<std::uint64_t>(iteration_, 1) - 1));
  }

  std::vector<std::vector<Codes>> incumbents() const override {
    std::vector<std::vector<Codes>> all;
    for (std::size_t r = 0; r < branches_.size(); ++r)
      for (auto& codes : strategies_[r]->incumbents()) all.push_back(targets_[r].meet(std::move(codes)));
    return all;
  }

  void save(Checkpoint& checkpoint) const override {
    for (std::size_t r = 0; r < branches_.size(); ++r) {
      Checkpoint own;
      strategies_[r]->save(own);
      for (auto& [name, tensor] : own.tensors) checkpoint.tensors[prefix(r) + name] = std::move(tensor);
      checkpoint.tensors[prefix(r) + "steps"] = {{1}, {static_cast<float>(own.optimizer_steps)}};
      checkpoint.tensors[prefix(r) + "start"] = store_codes(starts_of(branches_[r]));
    }
  }

  void restore(const Checkpoint& checkpoint) override {
    iteration_ = checkpoint.next_iteration;
    for (std::size_t r = 0; r < branches_.size(); ++r) {
      Checkpoint own;
      own.optimizer_steps = static_cast<std::uint64_t>(stored_values(checkpoint, prefix(r) + "steps", {1}).front());
      for (const auto& [name, tensor] : checkpoint.tensors)
        if (name.starts_with(prefix(r))) own.tensors[name.substr(prefix(r).size())] = tensor;
      strategies_[r]->restore(own);
    }
  }

 private:
  std::size_t branch_of(std::uint64_t iteration) const { return iteration % branches_.size(); }
  std::vector<Codes> most_probable_of(std::size_t branch) const {
    return targets_[branch].meet(strategies_[branch]->most_probable());
  }

  std::vector<Branch> branches_;
  std::vector<std::unique_ptr<Strategy>> strategies_;
  std::vector<PassTarget> targets_;
  std::uint64_t iteration_ = 0;
  std::vector<std::vector<Codes>> drawn_;  // (episodes of this iteration)(sites): before they are moved
};

}  // namespace

Branch make_branch(const std::vector<SiteData>& sites, double pass_share) {
  Branch branch{pass_share, sites};
  std::vector<Codes> codes;
  for (const SiteData& site : sites) codes.push_back(site.init);
  const PassTarget target(sites, pass_share);
  codes = target.meet(std::move(codes));
  for (std::size_t l = 0; l < sites.size(); ++l) {
    SiteData& site = branch.sites[l];
    site.tmax = codes[l].tmax;
    site.tmax_searched = target.lets_pass();
    site.init = initial_codes(site.tmax);
    site.mse = mse_optimum(site.histogram, site.tmax);
  }
  return branch;
}

std::unique_ptr<Strategy> make_branches(const StrategyOptions& options, std::vector<Branch> branches,
                                        std::uint64_t seed, const GradientSource& source) {
  return std::make_unique<Branches>(options, std::move(branches), seed, source);
}

void restore_starts(const Checkpoint& checkpoint, std::span<Branch> branches) {
  for (std::size_t r = 0; r < branches.size(); ++r) {
    const auto codes = stored_codes(checkpoint, prefix(r) + "start", branches[r].sites);
    for (std::size_t l = 0; l < codes.size(); ++l) branches[r].sites[l].start = codes[l];
  }
}

}  // namespace triseg
