#include "learner/strategies/coordinate_search.hpp"

#include "learner/strategies/action_space.hpp"
#include "learner/checkpoint.hpp"

#include <algorithm>
#include <cmath>

namespace triseg {
namespace {

class CoordinateSearch final : public Strategy {
 public:
  explicit CoordinateSearch(const std::vector<SiteData>& sites) : sites_(sites) {
    for (const SiteData& site : sites) incumbent_.push_back(site.start);
    forget();
  }

  Draws propose(std::uint64_t, std::size_t count) override {
    proposed_.clear();
    std::vector<std::vector<Codes>> result{incumbent_};
    const auto moves = legal_moves();
    for (std::size_t i = 0; i + 1 < count && i < moves.size(); ++i) {
      proposed_.push_back(moves[(next_ + i) % moves.size()]);
      result.push_back(neighbour(proposed_.back()));
    }
    // A small space is scored once; what is left of the budget repeats the incumbent.
    result.resize(count, incumbent_);
    return {std::move(result), {}};
  }

  void learn(std::span<const Episode> episodes, std::span<const float>, Update&) override {
    for (std::size_t i = 0; i < proposed_.size(); ++i) {
      const double gain = episodes[i + 1].reward - episodes[0].reward;
      float* sums = &sums_[proposed_[i] * 3];
      sums[0] += 1;
      sums[1] = static_cast<float>(sums[1] + gain);
      sums[2] = static_cast<float>(sums[2] + gain * gain);
    }
    if (!proposed_.empty()) next_ = (next_ + proposed_.size()) % legal_moves().size();
    std::size_t best = 0;
    double best_bound = 0;
    for (std::size_t move : legal_moves()) {
      const double n = sums_[move * 3];
      if (n < 2) continue;
      const double mean = sums_[move * 3 + 1] / n;
      const double variance = std::max(0.0, (sums_[move * 3 + 2] - n * mean * mean) / (n - 1));
      if (const double bound = mean - std::sqrt(variance / n); bound > best_bound) {
        best_bound = bound;
        best = move;
      }
    }
    if (best_bound <= 0) return;
    incumbent_ = neighbour(best);
    forget();
  }

  std::vector<Codes> most_probable() const override { return incumbent_; }

  void save(Checkpoint& checkpoint) const override {
    checkpoint.tensors["coordinate/incumbent"] = store_codes(incumbent_);
    checkpoint.tensors["coordinate/sums"] = {{sums_.size() / 3, 3}, sums_};
    checkpoint.optimizer_steps = next_;
  }
  void restore(const Checkpoint& checkpoint) override {
    incumbent_ = stored_codes(checkpoint, "coordinate/incumbent", sites_);
    sums_ = stored_values(checkpoint, "coordinate/sums", {sums_.size() / 3, 3});
    next_ = checkpoint.optimizer_steps;
  }

 private:
  // Move moves_a_site * site + 2 * head + direction: one code up or down by one.
  std::size_t moves_a_site() const { return 2 * drawn_heads(tmax_searched(sites_)).size(); }
  std::size_t site_of(std::size_t move) const { return move / moves_a_site(); }
  std::vector<Codes> neighbour(std::size_t move) const {
    auto codes = incumbent_;
    std::uint8_t& code = code_of(codes[site_of(move)], Head{move % moves_a_site() / 2});
    code = static_cast<std::uint8_t>(code + (move % 2 ? 1 : -1));
    return codes;
  }
  std::vector<std::size_t> legal_moves() const {
    std::vector<std::size_t> moves;
    for (std::size_t move = 0; move < sites_.size() * moves_a_site(); ++move)
      if (is_legal(neighbour(move)[site_of(move)])) moves.push_back(move);
    return moves;
  }
  void forget() {
    sums_.assign(sites_.size() * moves_a_site() * 3, 0);
    next_ = 0;
  }

  std::vector<SiteData> sites_;
  std::vector<Codes> incumbent_;
  std::vector<float> sums_;            // (moves, 3): iterations, sum of gains, sum of their squares
  std::uint64_t next_ = 0;             // the first move of the next iteration, among the legal ones
  std::vector<std::size_t> proposed_;  // the moves of this iteration, behind the incumbent
};

}  // namespace

std::unique_ptr<Strategy> make_coordinate_search(const std::vector<SiteData>& sites) {
  return std::make_unique<CoordinateSearch>(sites);
}

}  // namespace triseg
