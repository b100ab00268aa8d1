#include "learner/ppo.hpp"

#include "core/error.hpp"
#include "core/philox.hpp"
#include "learner/action_space.hpp"
#include "learner/initial_codes.hpp"
#include "learner/policy_network.hpp"

#include <dlfcn.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace triseg {
namespace {

constexpr int codes_count = 256;
/// Of what the network adds to the prior. At Adam's learning rate of 3e-4 and some 600 steps of a usual run, 3 lets the
/// draws follow the rewards in time (docs/search.md).
constexpr double learned_scale = 3.0;

/// How far a start's code may move, alone, until the site's squared error has risen by `tolerance` of the start's: the
/// mean over both directions, at least one code.
double prior_width(const SiteData& site, const Codes& start, Head head, double tolerance) {
  const double limit = double(squared_error(site.histogram, start)) * (1.0 + tolerance);
  double total = 0;
  for (int direction : {-1, 1}) {
    int distance = 0;
    for (Codes moved = start; distance < codes_count; ++distance) {
      const int next = code_of(moved, head) + direction;
      if (next < 0 || next >= codes_count) break;
      code_of(moved, head) = static_cast<std::uint8_t>(next);
      if (!is_legal(moved) || double(squared_error(site.histogram, moved)) > limit) break;
    }
    total += distance;
  }
  return std::max(1.0, total / 2.0);
}

/// The tensors are tiny, and the result must not depend on the cores a learner happens to have. OpenBLAS, where it is
/// LibTorch's BLAS, counts its threads by itself.
void use_one_thread() {
  torch::set_num_threads(1);
  if (void* const function = dlsym(RTLD_DEFAULT, "openblas_set_num_threads")) reinterpret_cast<void (*)(int)>(function)(1);
}

class Ppo final : public Strategy {
 public:
  Ppo(const std::vector<SiteData>& sites, const PpoOptions& options, std::uint64_t seed)
      : sites_(sites), options_(options), seed_(seed), policy_(seed, options.warm_start != WarmStart::none),
        learned_scale_(options.warm_start != WarmStart::none ? learned_scale : 1.0) {
    const auto count = static_cast<std::int64_t>(sites.size());
    for (const SiteData& site : sites) columns_ = std::max<std::int64_t>(columns_, site.tmax + 1);
    states_ = torch::zeros({count, 4});
    prior_ = torch::zeros({count, 4, columns_});
    smoothing_ = torch::eye(columns_).expand({count, 4, columns_, columns_}).clone();
    for (std::int64_t l = 0; l < count; ++l) {
      for (int k = 0; k < 4; ++k) states_[l][k] = sites[l].state[k];
      if (options.warm_start != WarmStart::none) centre_draws(l);
    }
  }

  std::vector<std::vector<Codes>> propose(std::uint64_t first_episode, std::size_t count) override {
    const auto logits = current_logits();
    std::vector<std::vector<Codes>> result(count);
    for (std::size_t i = 0; i < count; ++i) {
      for (std::size_t l = 0; l < sites_.size(); ++l) {
        Codes codes;
        codes.tmax = static_cast<std::uint8_t>(sites_[l].tmax);
        for (Head head : heads) {
          const double u = uniform(seed_, Stream::action, first_episode + i, static_cast<std::uint32_t>(l),
                                   static_cast<std::uint32_t>(head));
          code_of(codes, head) = draw(row(logits, l, head), legal_range(head, codes), u);
        }
        result[i].push_back(codes);
      }
    }
    return result;
  }

  void learn(std::span<const Episode> episodes, Update& update) override {
    const Batch batch = make_batch(episodes);
    torch::Tensor old_log_probability;
    for (int epoch = 0; epoch < options_.epochs; ++epoch) {
      const auto [log_probability, entropy, value] = evaluate(batch);
      if (epoch == 0) old_log_probability = log_probability.detach();
      // Each site is a step: the return is the episode's normalized reward, discounted over the sites still to come.
      const auto advantage = batch.returns - value.detach();
      const auto log_ratio = log_probability - old_log_probability;
      const auto ratio = log_ratio.exp();
      const auto clipped = ratio.clamp(1.0 - options_.clip, 1.0 + options_.clip);
      const auto policy_loss = -torch::min(ratio * advantage, clipped * advantage).mean();
      const auto value_loss = (value - batch.returns).square().mean();
      const auto mean_entropy = entropy.mean();
      const auto loss =
          policy_loss + options_.value_coefficient * value_loss - options_.entropy_coefficient * mean_entropy;
      policy_.step(loss, options_.learning_rate);
      update.policy_loss = policy_loss.item<double>();
      update.value_loss = value_loss.item<double>();
      update.entropy = mean_entropy.item<double>();
      // Schulman's low-variance estimate of KL(old || new): mean of (ratio - 1) - log ratio.
      update.approx_kl = (ratio - 1.0 - log_ratio).mean().item<double>();
      update.clip_fraction = ((ratio - 1.0).abs() > options_.clip).to(torch::kFloat).mean().item<double>();
    }
  }

  std::vector<Codes> most_probable() const override {
    const auto logits = current_logits();
    std::vector<Codes> result;
    for (std::size_t l = 0; l < sites_.size(); ++l) {
      Codes codes;
      codes.tmax = static_cast<std::uint8_t>(sites_[l].tmax);
      for (Head head : heads) {
        const auto [first, last] = legal_range(head, codes);
        const float* z = row(logits, l, head);
        code_of(codes, head) = static_cast<std::uint8_t>(std::max_element(z + first, z + last + 1) - z);
      }
      result.push_back(codes);
    }
    return result;
  }

  void save(Checkpoint& checkpoint) const override { policy_.save(checkpoint); }
  void restore(const Checkpoint& checkpoint) override { policy_.restore(checkpoint); }

 private:
  struct Batch {
    std::array<torch::Tensor, 4> chosen;  // per head (episodes, sites, 1) s64
    std::array<torch::Tensor, 4> legal;   // per head (episodes, sites, columns) bool
    torch::Tensor returns;                // (episodes, sites)
  };

  void centre_draws(std::int64_t l) {
    const SiteData& site = sites_[l];
    const bool mse = options_.warm_start == WarmStart::mse;
    const Codes& start = mse ? site.mse : site.init;
    const auto code = torch::arange(columns_, torch::kFloat);
    for (Head head : heads) {
      const auto h = static_cast<std::int64_t>(head);
      const double width = mse ? prior_width(site, start, head, options_.prior_tolerance) : std::max(1.0, site.tmax / 10.0);
      prior_[l][h] = -(code - double(code_of(start, head))).square() / (2 * width * width);
      // What the network learns of one code holds, by degrees, for its neighbours within the same width.
      const auto distance = code.unsqueeze(0) - code.unsqueeze(1);
      smoothing_[l][h] = (-distance.square() / (2 * width * width)).exp();
    }
  }

  torch::Tensor logits_of(const torch::Tensor& head_output) const {  // (sites, 4, 256) -> (sites, 4, columns)
    const auto learned = head_output.slice(2, 0, columns_).unsqueeze(2).matmul(smoothing_).squeeze(2);
    return prior_ + learned_scale_ * learned;
  }

  torch::Tensor current_logits() const {  // (sites, 4, columns), contiguous
    torch::NoGradGuard no_gradients;
    return logits_of(policy_.forward(states_).first).contiguous();
  }

  const float* row(const torch::Tensor& logits, std::size_t site, Head head) const {
    return logits.data_ptr<float>() + (site * 4 + static_cast<std::size_t>(head)) * columns_;
  }

  /// The categorical draw over first..last by inversion of u in [0, 1).
  static std::uint8_t draw(const float* logits, std::pair<int, int> range, double u) {
    const auto [first, last] = range;
    const double largest = *std::max_element(logits + first, logits + last + 1);
    double total = 0;
    for (int q = first; q <= last; ++q) total += std::exp(logits[q] - largest);
    double left = u * total;
    for (int q = first; q < last; ++q) {
      left -= std::exp(logits[q] - largest);
      if (left < 0) return static_cast<std::uint8_t>(q);
    }
    return static_cast<std::uint8_t>(last);
  }

  Batch make_batch(std::span<const Episode> episodes) const {
    const auto n = static_cast<std::int64_t>(episodes.size()), count = static_cast<std::int64_t>(sites_.size());
    Batch batch;
    double mean = 0, variance = 0;
    for (const Episode& e : episodes) mean += e.reward / double(n);
    for (const Episode& e : episodes) variance += (e.reward - mean) * (e.reward - mean) / double(n);
    const double scale = variance > 0 ? 1.0 / std::sqrt(variance) : 0.0;
    batch.returns = torch::zeros({n, count});
    for (Head head : heads) {
      const auto h = static_cast<std::size_t>(head);
      batch.chosen[h] = torch::zeros({n, count, 1}, torch::kLong);
      batch.legal[h] = torch::zeros({n, count, columns_}, torch::kBool);
    }
    auto returns = batch.returns.accessor<float, 2>();
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t l = 0; l < count; ++l) {
        returns[i][l] = static_cast<float>((episodes[i].reward - mean) * scale * std::pow(options_.gamma, double(count - 1 - l)));
        const Codes& codes = episodes[i].codes[l];
        for (Head head : heads) {
          const auto h = static_cast<std::size_t>(head);
          const auto [first, last] = legal_range(head, codes);
          batch.chosen[h].accessor<std::int64_t, 3>()[i][l][0] = code_of(codes, head);
          bool* mask = batch.legal[h].data_ptr<bool>() + (i * count + l) * columns_;
          std::fill(mask + first, mask + last + 1, true);
        }
      }
    }
    return batch;
  }

  struct Evaluation {
    torch::Tensor log_probability;  // (episodes, sites): of the four draws together
    torch::Tensor entropy;          // (episodes, sites): sum of the four conditional entropies [nats]
    torch::Tensor value;            // (sites): broadcasts over episodes
  };

  Evaluation evaluate(const Batch& batch) const {
    const auto [output, value] = policy_.forward(states_);
    const auto logits = logits_of(output);
    Evaluation result;
    result.value = value;
    for (Head head : heads) {
      const auto h = static_cast<std::int64_t>(head);
      // A finite floor instead of -inf keeps 0 * log 0 = 0 in the entropy and its gradient.
      const auto masked = logits.select(1, h).unsqueeze(0).masked_fill(batch.legal[h].logical_not(), -1e9);
      const auto log_p = masked.log_softmax(2);
      const auto chosen = log_p.gather(2, batch.chosen[h]).squeeze(2);
      const auto entropy = -(log_p.exp() * log_p).sum(2);
      result.log_probability = result.log_probability.defined() ? result.log_probability + chosen : chosen;
      result.entropy = result.entropy.defined() ? result.entropy + entropy : entropy;
    }
    return result;
  }

  std::vector<SiteData> sites_;
  PpoOptions options_;
  std::uint64_t seed_;
  PolicyNetwork policy_;
  double learned_scale_;       // learned_scale, or 1 where there is no prior
  std::int64_t columns_ = 0;   // codes 0 .. largest tmax: no head can take a larger one
  torch::Tensor states_;       // (sites, 4)
  torch::Tensor prior_;        // (sites, 4, columns)
  torch::Tensor smoothing_;    // (sites, 4, columns, columns)
};

}  // namespace

std::unique_ptr<Strategy> make_ppo(const std::vector<SiteData>& sites, const PpoOptions& options, std::uint64_t seed) {
  use_one_thread();
  return std::make_unique<Ppo>(sites, options, seed);
}

}  // namespace triseg
