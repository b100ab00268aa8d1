#include "learner/strategies/ppo.hpp"

#include "core/error.hpp"
#include "core/philox.hpp"
#include "core/reproducible.hpp"
#include "learner/strategies/action_space.hpp"
#include "learner/checkpoint.hpp"
#include "learner/strategies/policy_network.hpp"
#include "learner/strategies/start_width.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <utility>

namespace triseg {
namespace {

/// Least width of a code's draws [codes]: neighbours of an integer mean are still drawn, in 1 % of them.
constexpr double least_width = 0.3;
/// The most that the logarithm of a width changes in an epoch.
constexpr double largest_width_step = 0.5;
/// What a new mean counts in the average that most_probable() is made of.
constexpr double averaging = 0.05;

/// Logits are kept within this of the largest of their row: every legal code keeps a positive probability.
constexpr double lowest_logit = 500;

/// The draws of one head at one site that had the same legal codes: they share one categorical distribution.
struct DrawGroup {
  std::size_t site = 0;
  Head head = Head::t1;
  int first = 0, last = 0;            // the legal codes
  std::vector<std::size_t> episodes;  // indices within the iteration
  std::vector<int> codes;             // drawn by them

  // Set by evaluate().
  double total = 0, sum = 0, log_total = 0;
  double entropy = 0;  // [nats]

  /// shifted, weight: of codes 0, 1, ... of this site and head, logits less the largest, and their exponentials.
  /// before: the group before this one; the sums of one with the same first code are gone on with.
  void evaluate(const double* shifted, const double* weight, const DrawGroup* before) {
    const bool goes_on = before && before->site == site && before->head == head && before->first == first;
    total = goes_on ? before->total : 0;
    sum = goes_on ? before->sum : 0;
    for (int q = goes_on ? before->last + 1 : first; q <= last; ++q) {
      total += weight[q];
      sum += weight[q] * shifted[q];
    }
    log_total = reproducible_log(total);
    entropy = log_total - sum / total;
  }
};

class Ppo final : public Strategy {
 public:
  Ppo(const std::vector<SiteData>& sites, const PpoOptions& options, const StartOptions& start, std::uint64_t seed)
      : sites_(sites),
        options_(options),
        seed_(seed),
        heads_(drawn_heads(tmax_searched(sites))),
        centred_(start.warm_start != WarmStart::none),
        columns_(columns_of(sites)),
        policy_(states_of(sites), centred_ ? 0 : head_count(), columns_, seed, centred_) {
    if (!centred_) return;
    for (const SiteData& site : sites)
      for (std::size_t h = 0; h < head_count(); ++h) {
        const Head head{h};
        const double width = start.warm_start == WarmStart::init
                                 ? std::max(1.0, site.tmax / 10.0)
                                 : start_width(site, site.start, head, start.width_tolerance);
        mean_.push_back(code_of(site.start, head));
        log_width_.push_back(static_cast<float>(reproducible_log(width)));
      }
    average_ = mean_;
  }

  Draws propose(std::uint64_t first_episode, std::size_t count) override {
    const Distributions p = distributions();
    Draws result{std::vector<std::vector<Codes>>(count), {}};
    for (std::size_t i = 0; i < count; ++i) {
      for (std::size_t l = 0; l < sites_.size(); ++l) {
        double log_probability = 0;  // of all heads together
        result.codes[i].push_back(choose_codes(sites_[l], [&](Head head, int first, int last) {
          const double u = uniform(seed_, Stream::action, first_episode + i, static_cast<std::uint32_t>(l),
                                   static_cast<std::uint32_t>(head));
          const std::size_t at = row(l, head);
          const double total = std::accumulate(&p.weight[at + first], &p.weight[at + last] + 1, 0.0);
          const int code = draw(&p.weight[at], first, last, u * total);
          if (options_.lag > 0) log_probability += p.shifted[at + code] - reproducible_log(total);
          return code;
        }));
        if (options_.lag > 0) result.log_probability.push_back(static_cast<float>(log_probability));
      }
    }
    return result;
  }

  void learn(std::span<const Episode> episodes, std::span<const float> drawn, Update& update) override {
    const std::size_t n = episodes.size(), count = sites_.size(), entries = n * count;
    if (drawn.size() != (options_.lag > 0 ? entries : 0))
      fail("ppo: {} log-probabilities of the draws of {} episodes at {} sites", drawn.size(), n, count);
    const auto returns = returns_of(episodes);
    auto groups = group_draws(episodes);
    std::vector<double> old_log_probability(drawn.begin(), drawn.end());
    for (int epoch = 0; epoch < options_.epochs; ++epoch) {
      const auto output = policy_.forward();
      const Distributions p = distributions(output.heads);
      std::vector<double> log_probability(entries), entropy(entries);  // (episodes, sites): of the four draws together
      const DrawGroup* before = nullptr;
      for (DrawGroup& group : groups) {
        const std::size_t at_row = row(group.site, group.head);
        group.evaluate(&p.shifted[at_row], &p.weight[at_row], before);
        before = &group;
        for (std::size_t k = 0; k < group.episodes.size(); ++k) {
          const std::size_t at = group.episodes[k] * count + group.site;
          log_probability[at] += p.shifted[at_row + group.codes[k]] - group.log_total;
          entropy[at] += group.entropy;
        }
      }
      if (epoch == 0 && drawn.empty()) old_log_probability = log_probability;

      update.policy_loss = update.value_loss = update.entropy = update.approx_kl = update.clip_fraction = 0;
      std::vector<double> d_log_probability(entries);  // of the loss, which is a mean over all entries
      PolicyNetwork::Output gradient{{}, std::vector<double>(count)};
      for (std::size_t at = 0; at < entries; ++at) {
        // Each site is a step: the return is the episode's normalized reward, discounted over the sites still to come.
        const double error = output.values[at % count] - returns[at], advantage = -error;
        const double log_ratio = std::clamp(log_probability[at] - old_log_probability[at], -50.0, 50.0);
        const double ratio = reproducible_exp(log_ratio);
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
      const auto d_logits =
          logits_gradient(groups, p, d_log_probability, options_.entropy_coefficient / double(entries));
      if (!centred_) gradient.heads = d_logits;
      policy_.step(output, gradient, options_.learning_rate);
      if (centred_) move_centres(d_logits);
    }
    for (std::size_t k = 0; k < mean_.size(); ++k)
      average_[k] = static_cast<float>(average_[k] + averaging * (mean_[k] - average_[k]));
  }

  std::vector<Codes> most_probable() const override {
    const Distributions p = distributions();
    std::vector<Codes> result;
    for (std::size_t l = 0; l < sites_.size(); ++l)
      result.push_back(choose_codes(sites_[l], [&](Head head, int first, int last) {
        if (centred_)
          return int(std::clamp(std::nearbyint(double(average_[index(l, head)])), double(first), double(last)));
        const double* z = &p.shifted[row(l, head)];
        return int(std::max_element(z + first, z + last + 1) - z);
      }));
    return result;
  }

  void save(Checkpoint& checkpoint) const override {
    policy_.save(checkpoint);
    if (!centred_) return;
    const std::uint64_t size = mean_.size();
    checkpoint.tensors["policy/mean"] = {{size}, mean_};
    checkpoint.tensors["policy/average_mean"] = {{size}, average_};
    checkpoint.tensors["policy/log_width"] = {{size}, log_width_};
  }
  void restore(const Checkpoint& checkpoint) override {
    policy_.restore(checkpoint);
    if (!centred_) return;
    mean_ = stored_values(checkpoint, "policy/mean", {mean_.size()});
    average_ = stored_values(checkpoint, "policy/average_mean", {mean_.size()});
    log_width_ = stored_values(checkpoint, "policy/log_width", {mean_.size()});
  }

 private:
  /// The categorical draws: logits less the row's largest, at least -lowest_logit, and their exponentials. (sites,
  /// heads, columns)
  struct Distributions {
    std::vector<double> shifted, weight;
  };

  /// Codes 0 .. largest tmax: no head can take a larger one.
  static std::size_t columns_of(const std::vector<SiteData>& sites) {
    std::size_t columns = 0;
    for (const SiteData& site : sites) columns = std::max<std::size_t>(columns, largest_tmax(site) + 1);
    return columns;
  }

  static std::vector<std::array<double, 4>> states_of(const std::vector<SiteData>& sites) {
    std::vector<std::array<double, 4>> states(sites.size());
    for (std::size_t l = 0; l < sites.size(); ++l)
      for (std::size_t k = 0; k < 4; ++k) states[l][k] = sites[l].state[k];
    return states;
  }

  std::size_t head_count() const { return heads_.size(); }
  std::size_t index(std::size_t site, Head head) const { return site * head_count() + static_cast<std::size_t>(head); }
  /// Where the columns of one head at one site begin in (sites, heads, columns).
  std::size_t row(std::size_t site, Head head) const { return index(site, head) * columns_; }

  Distributions distributions() const {
    return distributions(centred_ ? std::vector<double>{} : policy_.forward().heads);
  }

  /// logits: what the network says, (sites, heads, columns); nothing where draws are around means.
  Distributions distributions(std::vector<double> logits) const {
    if (centred_) logits.resize(sites_.size() * head_count() * columns_);
    Distributions p{std::move(logits), {}};
    p.weight.resize(p.shifted.size());
    for (std::size_t l = 0; l < sites_.size(); ++l)
      for (Head head : heads_) {
        double* z = &p.shifted[row(l, head)];
        if (centred_) {
          const std::size_t k = index(l, head);
          const double width = reproducible_exp(log_width_[k]);
          for (std::size_t c = 0; c < columns_; ++c) {
            const double d = (double(c) - mean_[k]) / width;
            z[c] = -d * d / 2;
          }
        }
        const int last = largest_tmax(sites_[l]);
        const double largest = *std::max_element(z + 1, z + last + 1);
        for (std::size_t c = 0; c < columns_; ++c) {
          z[c] = std::max(z[c] - largest, -lowest_logit);
          p.weight[row(l, head) + c] = int(c) <= last ? reproducible_exp(z[c]) : 0;
        }
      }
    return p;
  }

  /// The loss's gradient by all logits, given that by every draw's log-probability and the weight of every
  /// distribution's entropy: d log p(a) / d z_c = [a = c] - p_c and dH / d z_c = -p_c (log p_c + H).
  std::vector<double> logits_gradient(const std::vector<DrawGroup>& groups, const Distributions& p,
                                      const std::vector<double>& d_log_probability, double entropy_weight) const {
    std::vector<double> d_logits(p.shifted.size());
    for (const DrawGroup& group : groups) {
      const std::size_t at = row(group.site, group.head);
      double total = 0;
      for (std::size_t k = 0; k < group.episodes.size(); ++k) {
        const double g = d_log_probability[group.episodes[k] * sites_.size() + group.site];
        d_logits[at + group.codes[k]] += g;
        total += g;
      }
      const double weight = entropy_weight * double(group.episodes.size());
      for (int q = group.first; q <= group.last; ++q) {
        const double log_p = p.shifted[at + q] - group.log_total;
        d_logits[at + q] += p.weight[at + q] / group.total * (weight * (log_p + group.entropy) - total);
      }
    }
    return d_logits;
  }

  /// A step of means and widths along the natural gradient of their Gaussians, whose Fisher information is 1 / width^2
  /// and, of the logarithm of the width, 2 (legality, which cuts them, left aside). The loss is a mean over sites; a
  /// site's own is count times it.
  void move_centres(const std::vector<double>& d_logits) {
    const double count = double(sites_.size());
    for (std::size_t k = 0; k < mean_.size(); ++k) {
      const double width = reproducible_exp(log_width_[k]);
      double by_mean = 0, by_width = 0;  // times the width; of z = -d^2 / 2 with d = (c - mean) / width
      for (std::size_t c = 0; c < columns_; ++c) {
        const double d = (double(c) - mean_[k]) / width;
        if (d * d / 2 > lowest_logit) continue;  // its logit is kept at the bound and depends on neither
        by_mean += d_logits[k * columns_ + c] * d;
        by_width += d_logits[k * columns_ + c] * d * d;
      }
      const double tmax = largest_tmax(sites_[k / head_count()]);
      mean_[k] = static_cast<float>(std::clamp(mean_[k] - options_.mean_rate * width * count * by_mean, 1.0, tmax));
      const double step =
          std::clamp(options_.width_rate / 2 * count * by_width, -largest_width_step, largest_width_step);
      log_width_[k] =
          static_cast<float>(std::clamp(log_width_[k] - step, reproducible_log(least_width), reproducible_log(tmax)));
    }
  }

  /// The categorical draw over first..last by inversion. left: a point in 0 .. the sum of their weights.
  static int draw(const double* weight, int first, int last, double left) {
    for (int q = first; q < last; ++q) {
      left -= weight[q];
      if (left < 0) return q;
    }
    return last;
  }

  /// (episodes, sites): how good an episode was within its iteration, of mean 0 and deviation 1, discounted. By its
  /// rank where draws are around a mean, so that one bad draw among good ones counts no more than its place; by its
  /// reward as the original has it.
  std::vector<double> returns_of(std::span<const Episode> episodes) const {
    const double n = double(episodes.size());
    std::vector<double> value;
    for (const Episode& e : episodes) value.push_back(comparable(e.reward));
    if (centred_) {
      const std::vector<double> rewards = value;
      std::vector<std::size_t> order(episodes.size());
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(),
                       [&](std::size_t a, std::size_t b) { return rewards[a] < rewards[b]; });
      for (std::size_t i = 0, next = 0; i < order.size(); i = next) {  // equal rewards share the middle of their ranks
        while (next < order.size() && rewards[order[next]] == rewards[order[i]]) ++next;
        for (std::size_t j = i; j < next; ++j) value[order[j]] = double(i + next - 1) / 2;
      }
    }
    double mean = 0, variance = 0;
    for (double v : value) mean += v / n;
    for (double v : value) variance += (v - mean) * (v - mean) / n;
    const auto [least, most] = std::minmax_element(value.begin(), value.end());
    const double scale =
        *least < *most ? 1.0 / std::sqrt(variance) : 0.0;  // equal ones can leave a variance of rounding errors
    std::vector<double> returns;
    for (double v : value)
      for (std::size_t l = 0; l < sites_.size(); ++l)
        returns.push_back((v - mean) * scale * reproducible_power(options_.gamma, sites_.size() - 1 - l));
    return returns;
  }

  std::vector<DrawGroup> group_draws(std::span<const Episode> episodes) const {
    std::vector<DrawGroup> groups;
    std::vector<std::pair<std::pair<int, int>, std::size_t>> draws(episodes.size());  // their legal codes, and episodes
    for (std::size_t l = 0; l < sites_.size(); ++l)
      for (Head head : heads_) {
        for (std::size_t i = 0; i < episodes.size(); ++i) draws[i] = {legal_range(head, episodes[i].codes[l]), i};
        std::sort(draws.begin(), draws.end());
        for (std::size_t k = 0; k < draws.size(); ++k) {
          const auto& [range, episode] = draws[k];
          if (k == 0 || range != draws[k - 1].first) groups.push_back({l, head, range.first, range.second, {}, {}});
          groups.back().episodes.push_back(episode);
          groups.back().codes.push_back(code_of(episodes[episode].codes[l], head));
        }
      }
    return groups;
  }

  std::vector<SiteData> sites_;
  PpoOptions options_;
  std::uint64_t seed_;
  std::span<const Head> heads_;  // in the order of drawing
  bool centred_;                 // draws are around means; false: from the network's heads, as the Python original's
  std::size_t columns_;
  PolicyNetwork policy_;                           // centred: its critic alone
  std::vector<float> mean_, average_, log_width_;  // (sites, heads) [codes]; empty unless centred
};

}  // namespace

std::unique_ptr<Strategy> make_ppo(const std::vector<SiteData>& sites, const PpoOptions& options,
                                   const StartOptions& start, std::uint64_t seed) {
  return std::make_unique<Ppo>(sites, options, start, seed);
}

}  // namespace triseg
