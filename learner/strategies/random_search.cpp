#include "learner/strategies/random_search.hpp"

#include "core/philox.hpp"
#include "learner/checkpoint.hpp"

#include <array>
#include <limits>

namespace triseg {
namespace {

/// Uniform over all legal codes, or over tmax and then over all legal codes under it: numbers from 1..tmax, drawn anew
/// until they are in order.
Codes draw(const SiteData& site, std::uint64_t seed, std::uint64_t episode, std::uint32_t l) {
  int tmax = site.tmax;
  if (site.tmax_searched) {
    constexpr std::uint32_t key = std::numeric_limits<std::uint32_t>::max();  // no attempt below comes to it
    tmax = smallest_tmax + static_cast<int>(uniform_below(256 - smallest_tmax, seed, Stream::action, episode, l, key));
  }
  for (std::uint32_t attempt = 0;; ++attempt) {
    std::array<std::uint8_t, 4> q{};
    for (std::uint32_t k = 0; k < 4; ++k)
      q[k] = static_cast<std::uint8_t>(
          1 + uniform_below(static_cast<std::uint32_t>(tmax), seed, Stream::action, episode, l, attempt * 4 + k));
    const Codes codes{q[0], q[1], q[2], q[3], static_cast<std::uint8_t>(tmax)};
    if (is_legal(codes)) return codes;
  }
}

class RandomSearch final : public Strategy {
 public:
  RandomSearch(const std::vector<SiteData>& sites, std::uint64_t seed) : sites_(sites), seed_(seed) {
    for (const SiteData& site : sites) best_.push_back(site.init);
  }

  Draws propose(std::uint64_t first_episode, std::size_t count) override {
    std::vector<std::vector<Codes>> result(count);
    for (std::size_t i = 0; i < count; ++i)
      for (std::size_t l = 0; l < sites_.size(); ++l)
        result[i].push_back(draw(sites_[l], seed_, first_episode + i, static_cast<std::uint32_t>(l)));
    return {std::move(result), {}};
  }

  void learn(std::span<const Episode> episodes, std::span<const float>, Update& update) override {
    for (const Episode& e : episodes)
      if (const auto gain = static_cast<float>(e.reward - update.mean_reward); gain > best_gain_) {
        best_gain_ = gain;
        best_ = e.codes;
      }
  }

  std::vector<Codes> most_probable() const override { return best_; }

  void save(Checkpoint& checkpoint) const override {
    checkpoint.tensors["random/best"] = store_codes(best_);
    checkpoint.tensors["random/best_gain"] = {{1}, {best_gain_}};
  }
  void restore(const Checkpoint& checkpoint) override {
    best_ = stored_codes(checkpoint, "random/best", sites_);
    best_gain_ = stored_values(checkpoint, "random/best_gain", {1}).front();
  }

 private:
  std::vector<SiteData> sites_;
  std::uint64_t seed_;
  std::vector<Codes> best_;
  float best_gain_ = -std::numeric_limits<float>::max();
};

}  // namespace

std::unique_ptr<Strategy> make_random_search(const std::vector<SiteData>& sites, std::uint64_t seed) {
  return std::make_unique<RandomSearch>(sites, seed);
}

}  // namespace triseg
