#include "learner/strategies/ste.hpp"

#include "core/reproducible.hpp"
#include "learner/checkpoint.hpp"
#include "learner/judging/shares.hpp"
#include "learner/strategies/pass_target.hpp"
#include "learner/strategies/start_width.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

namespace triseg {
namespace {

constexpr double mean_decay = 0.9, square_decay = 0.999, epsilon = 1e-8;  // Adam's
constexpr double average_decay = 0.998;
constexpr double nearest = 0.499;    // a value this far from a code is rounded to it
constexpr double rate_steps = 1000;  // after which the rate falls

class Ste final : public Strategy {
 public:
  Ste(const std::vector<SiteData>& sites, const SteOptions& options, double width_tolerance, GradientSource source)
      : sites_(sites),
        rate_(options.rate),
        source_(std::move(source)),
        heads_(drawn_heads(tmax_searched(sites))),
        value_(size()),
        mean_(size()),
        square_(size()),
        width_(size()) {
    std::vector<Codes> starts;
    for (std::size_t l = 0; l < sites.size(); ++l) {
      starts.push_back(sites[l].start);
      for (const Head head : heads_) {
        value_[index(l, head)] = code_of(sites[l].start, head);
        width_[index(l, head)] = start_width(sites[l], sites[l].start, head, width_tolerance);
      }
    }
    average_ = value_;
    if (tmax_searched(sites)) target_.emplace(sites, passed_share(sites, starts));
  }

  std::uint64_t usable_episodes(std::uint64_t budget) const override { return budget / (ste_steps + 1); }

  Draws propose(std::uint64_t, std::size_t count) override {
    Draws draws;
    loss_ = 0;
    for (std::size_t i = 0; i < count; ++i) {
      for (std::uint64_t k = 0; k < ste_steps; ++k) loss_ += step() / double(count * ste_steps);
      draws.codes.push_back(most_probable());
    }
    draws.student_images = count * ste_steps * source_.images;
    return draws;
  }

  void learn(std::span<const Episode>, std::span<const float>, Update& update) override { update.policy_loss = loss_; }

  std::vector<Codes> most_probable() const override { return decode(average_); }

  void save(Checkpoint& checkpoint) const override {
    for (const auto& [name, values] :
         {std::pair("ste/value", &value_), {"ste/average", &average_}, {"ste/mean", &mean_}, {"ste/square", &square_}})
      checkpoint.tensors[name] = {{size()}, *values};
    checkpoint.optimizer_steps = steps_;
  }

  void restore(const Checkpoint& checkpoint) override {
    for (const auto& [name, values] :
         {std::pair("ste/value", &value_), {"ste/average", &average_}, {"ste/mean", &mean_}, {"ste/square", &square_}})
      *values = stored_values(checkpoint, name, {size()});
    steps_ = checkpoint.optimizer_steps;
  }

 private:
  std::size_t size() const { return sites_.size() * heads_.size(); }
  std::size_t index(std::size_t site, Head head) const { return site * heads_.size() + static_cast<std::size_t>(head); }

  /// The legal codes near a point, with the share that may pass.
  std::vector<Codes> decode(const std::vector<float>& x) const {
    std::vector<Codes> codes;
    for (std::size_t l = 0; l < sites_.size(); ++l)
      codes.push_back(choose_codes(sites_[l], [&](Head head, int first, int last) {
        return std::clamp(std::nearbyint(double(x[index(l, head)])), double(first), double(last));
      }));
    return target_ ? target_->meet(std::move(codes)) : codes;
  }

  /// The loss before it.
  double step() {
    const std::vector<Codes> codes = decode(value_);
    const CodesGradient found = source_.gradient(steps_, codes);
    const double rate = rate_ / std::sqrt(1 + double(steps_) / rate_steps);
    ++steps_;
    const double mean_share = 1 - reproducible_power(mean_decay, steps_),
                 square_share = 1 - reproducible_power(square_decay, steps_);
    for (std::size_t l = 0; l < sites_.size(); ++l)
      for (const Head head : heads_) {
        const std::size_t k = index(l, head);
        const double code = code_of(codes[l], head);
        const double gradient = width_[k] * found.by_code[l][static_cast<std::size_t>(head)];
        mean_[k] = static_cast<float>(mean_decay * mean_[k] + (1 - mean_decay) * gradient);
        square_[k] = static_cast<float>(square_decay * square_[k] + (1 - square_decay) * gradient * gradient);
        const double move = mean_[k] / mean_share / (std::sqrt(square_[k] / square_share) + epsilon);
        const double kept = std::clamp(double(value_[k]), code - nearest, code + nearest);
        value_[k] = static_cast<float>(kept - rate * width_[k] * move);
        average_[k] = static_cast<float>(average_decay * average_[k] + (1 - average_decay) * value_[k]);
      }
    return found.loss;
  }

  std::vector<SiteData> sites_;
  double rate_;
  GradientSource source_;
  std::span<const Head> heads_;  // in the order of drawing
  std::optional<PassTarget> target_;
  // float: what a checkpoint holds exactly. All (L heads).
  std::vector<float> value_, average_, mean_, square_;
  std::vector<double> width_;
  std::uint64_t steps_ = 0;
  double loss_ = 0;  ///< mean over the steps of the last iteration
};

}  // namespace

std::unique_ptr<Strategy> make_ste(const std::vector<SiteData>& sites, const SteOptions& options,
                                   double width_tolerance, GradientSource source) {
  return std::make_unique<Ste>(sites, options, width_tolerance, std::move(source));
}

}  // namespace triseg
