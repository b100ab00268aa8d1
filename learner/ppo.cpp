#include "learner/ppo.hpp"

#include "core/philox.hpp"
#include "core/real_functions.hpp"
#include "learner/action_space.hpp"
#include "learner/policy_network.hpp"
#include "learner/prior.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

namespace triseg {
namespace {

/// Of what the network adds to the prior. At Adam's learning rate of 3e-4 and some 600 steps of a usual run, 3 lets the
/// draws follow the rewards in time (docs/search.md).
constexpr double learned_scale = 3.0;

/// The draws of one head at one site that had the same legal codes: they share one categorical distribution.
struct DrawGroup {
  std::size_t site = 0;
  Head head = Head::t1;
  int first = 0, last = 0;              // the legal codes
  std::vector<std::size_t> episodes;    // indices within the iteration
  std::vector<int> codes;               // drawn by them

  // Set by evaluate().
  std::vector<double> log_p;            // (last - first + 1)
  double entropy = 0;                   // [nats]

  /// logits: those of codes 0, 1, ... of this site and head.
  void evaluate(const double* logits) {
    const double largest = *std::max_element(logits + first, logits + last + 1);
    double total = 0;
    for (int q = first; q <= last; ++q) total += exact_exp(logits[q] - largest);
    const double log_total = largest + exact_log(total);
    log_p.resize(last - first + 1);
    entropy = 0;
    for (int q = first; q <= last; ++q) {
      const double l = log_p[q - first] = logits[q] - log_total;
      entropy -= exact_exp(l) * l;
    }
  }
};

class Ppo final : public Strategy {
 public:
  Ppo(const std::vector<SiteData>& sites, const PpoOptions& options, std::uint64_t seed)
      : sites_(sites), options_(options), seed_(seed), columns_(columns_of(sites)),
        policy_(states_of(sites), columns_, seed, options.warm_start != WarmStart::none),
        learned_scale_(options.warm_start != WarmStart::none ? learned_scale : 1.0),
        prior_(sites.size() * heads.size() * columns_), smoothing_(sites.size() * heads.size() * smoothing_width()) {
    for (std::size_t l = 0; l < sites.size(); ++l)
      for (Head head : heads) {
        if (options.warm_start == WarmStart::none)
          smoothing(l, head)[columns_ - 1] = 1.0;
        else
          centre_draws(l, head);
      }
  }

  std::vector<std::vector<Codes>> propose(std::uint64_t first_episode, std::size_t count) override {
    const auto logits = logits_of(policy_.forward());
    std::vector<std::vector<Codes>> result(count);
    for (std::size_t i = 0; i < count; ++i) {
      for (std::size_t l = 0; l < sites_.size(); ++l)
        result[i].push_back(choose_codes(sites_[l].tmax, [&](Head head, int first, int last) {
          const double u = uniform(seed_, Stream::action, first_episode + i, static_cast<std::uint32_t>(l),
                                   static_cast<std::uint32_t>(head));
          return draw(&logits[row(l, head)], first, last, u);
        }));
    }
    return result;
  }

  void learn(std::span<const Episode> episodes, Update& update) override {
    const std::size_t n = episodes.size(), count = sites_.size(), entries = n * count;
    const auto returns = returns_of(episodes);
    auto groups = group_draws(episodes);
    std::vector<double> old_log_probability;
    for (int epoch = 0; epoch < options_.epochs; ++epoch) {
      const auto output = policy_.forward();
      const auto logits = logits_of(output);
      std::vector<double> log_probability(entries), entropy(entries);  // (episodes, sites): of the four draws together
      for (DrawGroup& group : groups) {
        group.evaluate(&logits[row(group.site, group.head)]);
        for (std::size_t k = 0; k < group.episodes.size(); ++k) {
          const std::size_t at = group.episodes[k] * count + group.site;
          log_probability[at] += group.log_p[group.codes[k] - group.first];
          entropy[at] += group.entropy;
        }
      }
      if (epoch == 0) old_log_probability = log_probability;

      update.policy_loss = update.value_loss = update.entropy = update.approx_kl = update.clip_fraction = 0;
      std::vector<double> d_log_probability(entries);  // of the loss, which is a mean over all entries
      PolicyNetwork::Output gradient{std::vector<double>(prior_.size()), std::vector<double>(count)};
      for (std::size_t at = 0; at < entries; ++at) {
        // Each site is a step: the return is the episode's normalized reward, discounted over the sites still to come.
        const double error = output.values[at % count] - returns[at], advantage = -error;
        const double log_ratio = std::clamp(log_probability[at] - old_log_probability[at], -50.0, 50.0);
        const double ratio = exact_exp(log_ratio);
        const double clipped = std::clamp(ratio, 1.0 - options_.clip, 1.0 + options_.clip);
        update.policy_loss -= std::min(ratio * advantage, clipped * advantage) / double(entries);
        update.value_loss += error * error / double(entries);
        update.entropy += entropy[at] / double(entries);
        // Schulman's low-variance estimate of KL(old || new): mean of (ratio - 1) - log ratio.
        update.approx_kl += (ratio - 1.0 - log_ratio) / double(entries);
        update.clip_fraction += (std::abs(ratio - 1.0) > options_.clip) / double(entries);
        // The clipped branch is constant; inside the clip range both branches are the ratio's.
        if (ratio * advantage <= clipped * advantage) d_log_probability[at] = -ratio * advantage / double(entries);
        gradient.values[at % count] += options_.value_coefficient * 2.0 * error / double(entries);
      }
      gradient.heads = heads_gradient(groups, d_log_probability, options_.entropy_coefficient / double(entries));
      policy_.step(gradient, options_.learning_rate);
    }
  }

  std::vector<Codes> most_probable() const override {
    const auto logits = logits_of(policy_.forward());
    std::vector<Codes> result;
    for (std::size_t l = 0; l < sites_.size(); ++l)
      result.push_back(choose_codes(sites_[l].tmax, [&](Head head, int first, int last) {
        const double* z = &logits[row(l, head)];
        return std::max_element(z + first, z + last + 1) - z;
      }));
    return result;
  }

  void save(Checkpoint& checkpoint) const override { policy_.save(checkpoint); }
  void restore(const Checkpoint& checkpoint) override { policy_.restore(checkpoint); }

 private:
  /// Codes 0 .. largest tmax: no head can take a larger one.
  static std::size_t columns_of(const std::vector<SiteData>& sites) {
    std::size_t columns = 0;
    for (const SiteData& site : sites) columns = std::max<std::size_t>(columns, site.tmax + 1);
    return columns;
  }

  static std::vector<std::array<double, 4>> states_of(const std::vector<SiteData>& sites) {
    std::vector<std::array<double, 4>> states(sites.size());
    for (std::size_t l = 0; l < sites.size(); ++l)
      for (std::size_t k = 0; k < 4; ++k) states[l][k] = sites[l].state[k];
    return states;
  }

  /// Where the columns of one head at one site begin in (sites, 4, columns).
  std::size_t row(std::size_t site, Head head) const {
    return (site * heads.size() + static_cast<std::size_t>(head)) * columns_;
  }
  /// Weights by distance -(columns - 1) .. columns - 1.
  std::size_t smoothing_width() const { return 2 * columns_ - 1; }
  double* smoothing(std::size_t site, Head head) { return &smoothing_[row(site, head) / columns_ * smoothing_width()]; }
  const double* smoothing(std::size_t site, Head head) const { return const_cast<Ppo*>(this)->smoothing(site, head); }

  void centre_draws(std::size_t l, Head head) {
    const SiteData& site = sites_[l];
    const bool mse = options_.warm_start == WarmStart::mse;
    const Codes& start = mse ? site.mse : site.init;
    const double width = mse ? prior_width(site, start, head, options_.prior_tolerance) : std::max(1.0, site.tmax / 10.0);
    for (std::size_t c = 0; c < columns_; ++c) {
      const double distance = double(c) - double(code_of(start, head));
      prior_[row(l, head) + c] = -distance * distance / (2 * width * width);
    }
    // What the network learns of one code holds, by degrees, for its neighbours within the same width.
    for (std::size_t i = 0; i < smoothing_width(); ++i) {
      const double distance = double(i) - double(columns_ - 1);
      smoothing(l, head)[i] = exact_exp(-distance * distance / (2 * width * width));
    }
  }

  /// (sites, 4, columns): the prior and what the network adds, smoothed over codes.
  std::vector<double> logits_of(const PolicyNetwork::Output& output) const {
    auto logits = prior_;
    for_each_row([&](std::size_t at, const double* weights) {
      for (std::size_t j = 0; j < columns_; ++j)
        for (std::size_t c = 0; c < columns_; ++c)
          logits[at + c] += learned_scale_ * output.heads[at + j] * weights[columns_ - 1 + c - j];
    });
    return logits;
  }

  /// The loss's gradient by the network's heads, given that by every draw's log-probability and the weight of every
  /// distribution's entropy: d log p(a) / d z_c = [a = c] - p_c and dH / d z_c = -p_c (log p_c + H).
  std::vector<double> heads_gradient(const std::vector<DrawGroup>& groups, const std::vector<double>& d_log_probability,
                                     double entropy_weight) const {
    std::vector<double> d_logits(prior_.size()), result(prior_.size());
    for (const DrawGroup& group : groups) {
      double* d = &d_logits[row(group.site, group.head)];
      double total = 0;
      for (std::size_t k = 0; k < group.episodes.size(); ++k) {
        const double g = d_log_probability[group.episodes[k] * sites_.size() + group.site];
        d[group.codes[k]] += g;
        total += g;
      }
      for (int q = group.first; q <= group.last; ++q) {
        const double log_p = group.log_p[q - group.first], p = exact_exp(log_p);
        d[q] += p * (entropy_weight * double(group.episodes.size()) * (log_p + group.entropy) - total);
      }
    }
    for_each_row([&](std::size_t at, const double* weights) {  // the smoothing is symmetric
      for (std::size_t c = 0; c < columns_; ++c)
        for (std::size_t j = 0; j < columns_; ++j)
          result[at + j] += learned_scale_ * d_logits[at + c] * weights[columns_ - 1 + j - c];
    });
    return result;
  }

  template <class F>
  void for_each_row(const F& f) const {
    for (std::size_t l = 0; l < sites_.size(); ++l)
      for (Head head : heads) f(row(l, head), smoothing(l, head));
  }

  /// The categorical draw over first..last by inversion of u in [0, 1).
  static int draw(const double* logits, int first, int last, double u) {
    const double largest = *std::max_element(logits + first, logits + last + 1);
    double total = 0;
    for (int q = first; q <= last; ++q) total += exact_exp(logits[q] - largest);
    double left = u * total;
    for (int q = first; q < last; ++q) {
      left -= exact_exp(logits[q] - largest);
      if (left < 0) return q;
    }
    return last;
  }

  /// (episodes, sites): rewards normalized within the iteration, discounted.
  std::vector<double> returns_of(std::span<const Episode> episodes) const {
    const double n = double(episodes.size());
    double mean = 0, variance = 0;
    for (const Episode& e : episodes) mean += e.reward / n;
    for (const Episode& e : episodes) variance += (e.reward - mean) * (e.reward - mean) / n;
    const double scale = variance > 0 ? 1.0 / std::sqrt(variance) : 0.0;
    std::vector<double> returns;
    for (const Episode& e : episodes)
      for (std::size_t l = 0; l < sites_.size(); ++l)
        returns.push_back((e.reward - mean) * scale * exact_power(options_.gamma, sites_.size() - 1 - l));
    return returns;
  }

  std::vector<DrawGroup> group_draws(std::span<const Episode> episodes) const {
    std::vector<DrawGroup> groups;
    for (std::size_t l = 0; l < sites_.size(); ++l)
      for (Head head : heads) {
        std::map<std::pair<int, int>, DrawGroup> by_range;
        for (std::size_t i = 0; i < episodes.size(); ++i) {
          const Codes& codes = episodes[i].codes[l];
          const auto range = legal_range(head, codes);
          DrawGroup& group = by_range[range];
          group.site = l;
          group.head = head;
          group.first = range.first;
          group.last = range.second;
          group.episodes.push_back(i);
          group.codes.push_back(code_of(codes, head));
        }
        for (auto& [range, group] : by_range) groups.push_back(std::move(group));
      }
    return groups;
  }

  std::vector<SiteData> sites_;
  PpoOptions options_;
  std::uint64_t seed_;
  std::size_t columns_;
  PolicyNetwork policy_;
  double learned_scale_;           // learned_scale, or 1 where there is no prior
  std::vector<double> prior_;      // (sites, 4, columns)
  std::vector<double> smoothing_;  // (sites, 4, smoothing_width())
};

}  // namespace

std::unique_ptr<Strategy> make_ppo(const std::vector<SiteData>& sites, const PpoOptions& options, std::uint64_t seed) {
  return std::make_unique<Ppo>(sites, options, seed);
}

}  // namespace triseg
