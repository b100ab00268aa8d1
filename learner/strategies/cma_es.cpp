#include "learner/strategies/cma_es.hpp"

#include "core/philox.hpp"
#include "core/reproducible.hpp"
#include "learner/strategies/action_space.hpp"
#include "learner/checkpoint.hpp"
#include "learner/strategies/start_width.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace triseg {
namespace {

/// Least standard deviation of a code: it still changes, by rounding, in a tenth of the draws.
constexpr double least_deviation = 0.3;

class CmaEs final : public Strategy {
 public:
  CmaEs(const std::vector<SiteData>& sites, double width_tolerance, std::uint64_t seed)
      : sites_(sites),
        seed_(seed),
        heads_(drawn_heads(tmax_searched(sites))),
        mean_(size()),
        variance_(size()),
        step_path_(size()),
        variance_path_(size()) {
    for (std::size_t l = 0; l < sites.size(); ++l)
      for (Head head : heads_) {
        const std::size_t k = index(l, head);
        mean_[k] = code_of(sites[l].start, head);
        const double width = start_width(sites[l], sites[l].start, head, width_tolerance);
        variance_[k] = static_cast<float>(width * width);
      }
  }

  Draws propose(std::uint64_t first_episode, std::size_t count) override {
    first_episode_ = first_episode;
    std::vector<std::vector<Codes>> result;
    for (std::size_t i = 0; i < count; ++i) result.push_back(decode(sample(first_episode + i)));
    return {std::move(result), {}};
  }

  void learn(std::span<const Episode> episodes, std::span<const float>, Update&) override {
    const std::size_t parents = episodes.size() / 2;
    if (parents < 2) return;  // the last iteration may be short
    std::vector<std::size_t> order(episodes.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return comparable(episodes[a].reward) > comparable(episodes[b].reward);
    });

    // Hansen's tutorial, table 1; the learning rates of the covariance times (n + 2) / 3, as Ros and Hansen have it.
    const double n = double(size());
    std::vector<double> weights(parents);
    for (std::size_t i = 0; i < parents; ++i)
      weights[i] = reproducible_log(double(episodes.size()) / 2 + 0.5) - reproducible_log(double(i + 1));
    const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
    double squares = 0;
    for (double& w : weights) {
      w /= total;
      squares += w * w;
    }
    const double effective = 1 / squares;
    const double step_rate = (effective + 2) / (n + effective + 5);
    const double damping = 1 + 2 * std::max(0.0, std::sqrt((effective - 1) / (n + 1)) - 1) + step_rate;
    const double path_rate = (4 + effective / n) / (n + 4 + 2 * effective / n);
    const double separable = (n + 2) / 3;
    const double one_rate = std::min(1.0, separable * 2 / ((n + 1.3) * (n + 1.3) + effective));
    const double rank_rate =
        std::min(1 - one_rate, separable * 2 * (effective - 2 + 1 / effective) / ((n + 2) * (n + 2) + effective));
    const double expected_length = std::sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n));

    // Steps in units of sigma: y = (x - mean) / sigma.
    std::vector<double> mean_step(size()), rank_sum(size());
    for (std::size_t i = 0; i < parents; ++i) {
      const auto x = sample(first_episode_ + order[i]);
      for (std::size_t k = 0; k < size(); ++k) {
        const double y = (x[k] - mean_[k]) / sigma_;
        mean_step[k] += weights[i] * y;
        rank_sum[k] += weights[i] * y * y;
      }
    }
    ++generation_;
    double length = 0;
    for (std::size_t k = 0; k < size(); ++k) {
      step_path_[k] =
          static_cast<float>((1 - step_rate) * step_path_[k] + std::sqrt(step_rate * (2 - step_rate) * effective) *
                                                                   mean_step[k] / std::sqrt(variance_[k]));
      length += double(step_path_[k]) * step_path_[k];
    }
    length = std::sqrt(length);
    const bool stalled = length / std::sqrt(1 - reproducible_power(1 - step_rate, 2 * generation_)) >=
                         (1.4 + 2 / (n + 1)) * expected_length;
    for (std::size_t k = 0; k < size(); ++k) {
      variance_path_[k] =
          static_cast<float>((1 - path_rate) * variance_path_[k] +
                             (stalled ? 0.0 : std::sqrt(path_rate * (2 - path_rate) * effective) * mean_step[k]));
      const double kept = 1 - one_rate - rank_rate + (stalled ? one_rate * path_rate * (2 - path_rate) : 0.0);
      variance_[k] = static_cast<float>(kept * variance_[k] + one_rate * variance_path_[k] * variance_path_[k] +
                                        rank_rate * rank_sum[k]);
      mean_[k] = static_cast<float>(mean_[k] + sigma_ * mean_step[k]);
    }
    sigma_ = static_cast<float>(sigma_ * reproducible_exp(step_rate / damping * (length / expected_length - 1)));
    const double least = least_deviation / sigma_;
    for (float& v : variance_) v = static_cast<float>(std::max<double>(v, least * least));
  }

  std::vector<Codes> most_probable() const override { return decode({mean_.begin(), mean_.end()}); }

  void save(Checkpoint& checkpoint) const override {
    const std::uint64_t n = size();
    checkpoint.tensors["cma_es/mean"] = {{n}, mean_};
    checkpoint.tensors["cma_es/variance"] = {{n}, variance_};
    checkpoint.tensors["cma_es/step_path"] = {{n}, step_path_};
    checkpoint.tensors["cma_es/variance_path"] = {{n}, variance_path_};
    checkpoint.tensors["cma_es/sigma"] = {{1}, {sigma_}};
    checkpoint.optimizer_steps = generation_;
  }

  void restore(const Checkpoint& checkpoint) override {
    mean_ = stored_values(checkpoint, "cma_es/mean", {size()});
    variance_ = stored_values(checkpoint, "cma_es/variance", {size()});
    step_path_ = stored_values(checkpoint, "cma_es/step_path", {size()});
    variance_path_ = stored_values(checkpoint, "cma_es/variance_path", {size()});
    sigma_ = stored_values(checkpoint, "cma_es/sigma", {1}).front();
    generation_ = checkpoint.optimizer_steps;
  }

 private:
  std::size_t size() const { return sites_.size() * heads_.size(); }
  std::size_t index(std::size_t site, Head head) const { return site * heads_.size() + static_cast<std::size_t>(head); }

  /// A standard normal number by Marsaglia's polar method, keyed.
  double normal(std::uint64_t episode, std::uint32_t site, std::uint32_t head) const {
    for (std::uint32_t attempt = 0;; ++attempt) {
      const double u = 2 * uniform(seed_, Stream::action, episode, site, head + 16 * attempt) - 1;
      const double v = 2 * uniform(seed_, Stream::action, episode, site, head + 16 * attempt + 8) - 1;
      const double s = u * u + v * v;
      if (s > 0 && s < 1) return u * std::sqrt(-2 * reproducible_log(s) / s);
    }
  }

  /// The point of an episode.
  std::vector<double> sample(std::uint64_t episode) const {
    std::vector<double> x(size());
    for (std::size_t l = 0; l < sites_.size(); ++l)
      for (Head head : heads_) {
        const std::size_t k = index(l, head);
        x[k] = mean_[k] + sigma_ * std::sqrt(variance_[k]) *
                              normal(episode, static_cast<std::uint32_t>(l), static_cast<std::uint32_t>(head));
      }
    return x;
  }

  /// The legal codes near a point: rounded, then, in the order of drawing, moved into what the codes before leave
  /// legal.
  std::vector<Codes> decode(const std::vector<double>& x) const {
    std::vector<Codes> result;
    for (std::size_t l = 0; l < sites_.size(); ++l)
      result.push_back(choose_codes(sites_[l], [&](Head head, int first, int last) {
        return std::clamp(std::nearbyint(x[index(l, head)]), double(first), double(last));
      }));
    return result;
  }

  std::vector<SiteData> sites_;
  std::uint64_t seed_;
  std::span<const Head> heads_;  // in the order of drawing
  // float: what a checkpoint holds exactly.
  std::vector<float> mean_, variance_, step_path_, variance_path_;  // (L heads)
  float sigma_ = 1;
  std::uint64_t generation_ = 0, first_episode_ = 0;
};

}  // namespace

std::unique_ptr<Strategy> make_cma_es(const std::vector<SiteData>& sites, double width_tolerance, std::uint64_t seed) {
  return std::make_unique<CmaEs>(sites, width_tolerance, seed);
}

}  // namespace triseg
