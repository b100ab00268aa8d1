// PPO on toy problems: draws are legal and keyed by episode alone, it learns, and it continues from a checkpoint
// exactly.
#include "learner/strategies/ppo.hpp"

#include "core/error.hpp"
#include "learner/strategies/action_space.hpp"
#include "learner/strategies/strategies.hpp"
#include "tests/learner/strategies/toy_problem.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

namespace triseg {
namespace {

using testing::one_iteration;
using testing::site;
using testing::three_sites;

class PpoDraws : public ::testing::TestWithParam<WarmStart> {};

TEST_P(PpoDraws, AreLegalForEverySite) {
  const StartOptions start{.warm_start = GetParam()};
  std::vector<SiteData> sites = three_sites();
  sites.push_back(site(2, 4, smallest_tmax));
  const auto strategy = make_ppo(sites, {}, start, 7);
  for (const auto& codes : strategy->propose(0, 500).codes)
    for (std::size_t i = 0; i < sites.size(); ++i) {
      EXPECT_TRUE(is_legal(codes[i])) << to_string(codes[i]);
      EXPECT_EQ(codes[i].tmax, sites[i].tmax);
    }
  for (const Codes& c : strategy->most_probable()) EXPECT_TRUE(is_legal(c)) << to_string(c);
}

INSTANTIATE_TEST_SUITE_P(Starts, PpoDraws, ::testing::Values(WarmStart::mse, WarmStart::init, WarmStart::none),
                         [](const auto& start) -> std::string {
                           return start.param == WarmStart::mse    ? "mse"
                                  : start.param == WarmStart::init ? "init"
                                                                   : "none";
                         });

TEST(Ppo, DrawsOfAnEpisodeDependOnItsNumberAlone) {
  const auto strategy = make_ppo(three_sites(), {}, {}, 7);
  const auto all = strategy->propose(0, 64).codes;
  const auto part = strategy->propose(40, 10).codes;
  EXPECT_TRUE(std::equal(part.begin(), part.end(), all.begin() + 40));
  EXPECT_NE(make_ppo(three_sites(), {}, {}, 8)->propose(0, 64).codes, all) << "another seed";
}

TEST(Ppo, FirstDrawsCentreOnTheStart) {
  for (WarmStart start : {WarmStart::mse, WarmStart::init}) {
    auto sites = three_sites();
    for (SiteData& site : sites) site.start = start == WarmStart::mse ? site.mse : site.init;
    const auto strategy = make_ppo(sites, {}, {.warm_start = start}, 3);
    for (std::size_t i = 0; i < sites.size(); ++i)
      EXPECT_EQ(strategy->most_probable()[i], start == WarmStart::mse ? sites[i].mse : sites[i].init);
    double mean = 0;
    const auto draws = strategy->propose(0, 2000).codes;
    for (const auto& codes : draws) mean += codes[1].t2 / double(draws.size());
    const double centre = start == WarmStart::mse ? sites[1].mse.t2 : sites[1].init.t2;
    EXPECT_NEAR(mean, centre, 0.1 * sites[1].tmax);
  }
}

TEST(Ppo, LearnsAToyProblem) {
  const auto sites = three_sites();
  const auto strategy = make_ppo(sites, {}, {}, 1);
  const double first = one_iteration(*strategy, sites, 0).mean_reward;
  double last = 0;
  for (std::uint64_t i = 1; i < 80; ++i) last = one_iteration(*strategy, sites, i).mean_reward;
  EXPECT_GT(last, 0.6 * first) << "rewards are negative: the distance must shrink by 40 % at least";
}

TEST(Ppo, StatisticsAreThoseOfPpo) {
  const auto sites = three_sites();
  const auto strategy = make_ppo(sites, {}, {}, 1);
  const Update update = one_iteration(*strategy, sites, 0);
  EXPECT_TRUE(std::isfinite(update.policy_loss));
  EXPECT_GT(update.entropy, 0.0);
  EXPECT_GE(update.approx_kl, 0.0);
  EXPECT_GE(update.clip_fraction, 0.0);
  EXPECT_LE(update.clip_fraction, 1.0);
}

TEST(Ppo, TheFirstPassHasTheValuesOfTheFormulas) {
  const auto sites = three_sites();
  PpoOptions options;
  options.epochs = 1;
  options.gamma = 0.5;
  const auto strategy = make_ppo(sites, options, {}, 1);
  const auto codes = strategy->propose(0, 2).codes;
  const std::vector<Episode> episodes = {{0, -1.0, {}, codes[0]}, {0, -3.0, {}, codes[1]}};
  Update update;
  strategy->learn(episodes, {}, update);
  // Rewards normalize to +1 and -1; the returns of the three sites are those times 0.25, 0.5 and 1; the critic starts
  // at 0, and the ratio is 1.
  EXPECT_NEAR(update.value_loss, (0.0625 + 0.25 + 1.0) / 3, 1e-6);
  EXPECT_NEAR(update.policy_loss, 0.0, 1e-6);
  EXPECT_NEAR(update.approx_kl, 0.0, 1e-6);
  EXPECT_EQ(update.clip_fraction, 0.0);
}

/// The log-probability of codes at a site under Gaussians of these means and widths, cut to what is legal.
double log_probability(const Codes& codes, const float* mean, const float* log_width) {
  double sum = 0;
  for (const Head head : drawn_heads(false)) {
    const auto [first, last] = legal_range(head, codes);
    const auto h = static_cast<std::size_t>(head);
    const auto logit = [&](int code) { return -std::pow((code - mean[h]) / std::exp(log_width[h]), 2) / 2; };
    double total = 0;
    for (int q = first; q <= last; ++q) total += std::exp(logit(q));
    sum += logit(code_of(codes, head)) - std::log(total);
  }
  return sum;
}

TEST(Ppo, WithALagRatiosAreThoseToThePolicyThatDrew) {
  const auto sites = three_sites();
  PpoOptions options;
  options.epochs = 1;
  options.lag = 1;
  const auto strategy = make_ppo(sites, options, {}, 1);
  const Draws drawn[] = {strategy->propose(0, 16), strategy->propose(16, 16)};
  std::vector<Episode> episodes[2];
  for (int i = 0; i < 2; ++i)
    for (const auto& codes : drawn[i].codes) episodes[i].push_back({0, testing::toy_reward(sites, codes), {}, codes});
  Checkpoint before, after;
  strategy->save(before);
  Update update;
  strategy->learn(episodes[0], drawn[0].log_probability, update);
  EXPECT_NEAR(update.approx_kl, 0, 1e-9) << "it learns from its own draws";
  strategy->save(after);
  strategy->learn(episodes[1], drawn[1].log_probability, update);
  double kl = 0;
  for (std::size_t i = 0; i < 16; ++i)
    for (std::size_t l = 0; l < 3; ++l) {
      const auto under = [&](const Checkpoint& policy) {
        return log_probability(drawn[1].codes[i][l], &policy.tensors.at("policy/mean").values[l * 4],
                               &policy.tensors.at("policy/log_width").values[l * 4]);
      };
      EXPECT_NEAR(drawn[1].log_probability[i * 3 + l], under(before), 1e-4);
      const double log_ratio = under(after) - under(before);
      kl += (std::exp(log_ratio) - 1 - log_ratio) / 48;
    }
  EXPECT_GT(kl, 1e-3) << "it has learned since";
  EXPECT_NEAR(update.approx_kl, kl, 1e-3 * kl);
  EXPECT_THROW(strategy->learn(episodes[1], {}, update), Error);
}

TEST(Ppo, OneStepMakesGoodDrawsLikelierAndBadOnesLessLikely) {
  // Two values of v1 at one site, one rewarded: after an update its share of the draws has grown.
  const std::vector<SiteData> sites = {site(0, 1, 35)};
  PpoOptions options;
  options.learning_rate = 0.01;
  const auto strategy = make_ppo(sites, options, {}, 1);
  const auto share = [&] {
    int good = 0;
    for (const auto& codes : strategy->propose(5000, 2000).codes) good += codes[0].v1 > sites[0].mse.v1;
    return good / 2000.0;
  };
  const double before = share();
  std::vector<Episode> episodes;
  for (auto& codes : strategy->propose(0, 64).codes)
    episodes.push_back({0, codes[0].v1 > sites[0].mse.v1 ? 1.0 : 0.0, {}, codes});
  Update update;
  strategy->learn(episodes, {}, update);
  EXPECT_GT(share(), before + 0.02);
}

/// The loss before and after the first of two epochs of the same draws, and the checkpoints around that step.
struct FirstStep {
  std::array<Update, 2> updates;
  Checkpoint before, after;

  FirstStep(const std::vector<SiteData>& sites, PpoOptions options, const StartOptions& start = {})
      : entropy_coefficient_(options.entropy_coefficient) {
    for (int epochs : {1, 2}) {
      options.epochs = epochs;
      const auto strategy = make_ppo(sites, options, start, 3);
      strategy->save(before);
      // A critic of zeros stays one, so that advantages do not move with the encoder they share.
      before.tensors.at("policy/critic.weight").values.assign(64, 0);
      strategy->restore(before);
      updates[epochs - 1] = one_iteration(*strategy, sites, 0);
      if (epochs == 1) strategy->save(after);
    }
  }
  double loss_change() const { return loss(updates[1]) - loss(updates[0]); }
  double step(const char* name, std::size_t k) const {
    return double(after.tensors.at(name).values[k]) - double(before.tensors.at(name).values[k]);
  }

 private:
  double loss(const Update& u) const { return u.policy_loss - entropy_coefficient_ * u.entropy; }
  double entropy_coefficient_;
};

TEST(Ppo, MeansAndWidthsGoAlongTheNaturalGradient) {
  // The step is rate times gradient over Fisher information (1 / width^2 and 2, of a loss that is the mean over sites),
  // so the steps themselves tell the gradient, and with it what a small step does to the loss.
  const auto sites = three_sites();
  PpoOptions options;
  options.value_coefficient = 0;
  options.entropy_coefficient = 0.3;
  for (const auto& [mean_rate, width_rate] : {std::pair(1e-4, 0.0), {0.0, 1e-4}, {1e-4, 1e-4}}) {
    options.mean_rate = mean_rate;
    options.width_rate = width_rate;
    const FirstStep first(sites, options);
    double expected = 0;
    for (std::size_t k = 0; k < sites.size() * 4; ++k) {
      const double width = std::exp(first.before.tensors.at("policy/log_width").values[k]),
                   count = double(sites.size());
      const double by_mean = first.step("policy/mean", k), by_width = first.step("policy/log_width", k);
      if (mean_rate > 0) expected -= by_mean * by_mean / (mean_rate * count * width * width);
      if (width_rate > 0) expected -= 2 * by_width * by_width / (width_rate * count);
    }
    EXPECT_LT(expected, 0.0);
    EXPECT_NEAR(first.loss_change() / expected, 1.0, 0.05) << mean_rate << " " << width_rate;
  }
}

TEST(Ppo, AColdPolicyGoesDownTheGradientOfItsLoss) {
  // Adam's first moment is a tenth of the gradient, and its first step the learning rate along its sign: the loss falls
  // by the learning rate times the gradient's 1-norm, if the gradient is that of the loss in every parameter.
  const auto sites = three_sites();
  PpoOptions options;
  options.value_coefficient = 0;
  options.entropy_coefficient = 0.3;
  options.learning_rate = 1e-6;
  const FirstStep first(sites, options, {.warm_start = WarmStart::none});
  double norm = 0;
  for (const auto& [name, tensor] : first.after.tensors)
    if (name.starts_with("adam_m/"))
      for (float m : tensor.values) norm += std::abs(m) / 0.1 * (std::abs(m) / (std::abs(m) + 1e-9));
  EXPECT_GT(norm, 0.0);
  EXPECT_NEAR(first.loss_change() / (-options.learning_rate * norm), 1.0, 0.05);
}

TEST(Ppo, EqualRewardsTeachNothingFalse) {
  const auto sites = three_sites();
  PpoOptions options;
  const auto strategy = make_ppo(sites, options, {}, 1);
  Checkpoint before, after;
  strategy->save(before);
  Update update;
  for (const std::size_t count : {7, 16, 20}) {  // of some numbers the rounded mean is not exact
    std::vector<Episode> episodes;
    for (auto& codes : strategy->propose(0, count).codes) episodes.push_back({0, -1.0, {}, codes});
    strategy->learn(episodes, {}, update);
  }
  strategy->save(after);
  EXPECT_EQ(after.tensors.at("policy/mean").values, before.tensors.at("policy/mean").values);
  EXPECT_EQ(after.tensors.at("policy/log_width").values, before.tensors.at("policy/log_width").values);
  EXPECT_TRUE(std::isfinite(update.policy_loss));
}

TEST(Ppo, ADrawFarOutMovesMeanAndWidthWithinBounds) {
  // A draw some 40 widths from the mean, rewarded: whatever it teaches, the policy stays a policy.
  const std::vector<SiteData> sites = {site(0, 1, 255)};
  const auto strategy = make_ppo(sites, {}, {}, 1);
  Checkpoint narrow;
  strategy->save(narrow);
  for (float& w : narrow.tensors.at("policy/log_width").values) w = std::log(0.3f);
  strategy->restore(narrow);
  std::vector<Episode> episodes;
  for (auto& codes : strategy->propose(0, 20).codes) episodes.push_back({0, -double(episodes.size()), {}, codes});
  episodes[0].codes[0].t2 = 200;
  episodes[0].codes[0].v2 = 255;
  Update update;
  strategy->learn(episodes, {}, update);
  Checkpoint after;
  strategy->save(after);
  for (float m : after.tensors.at("policy/mean").values) EXPECT_TRUE(m >= 1 && m <= 255) << m;
  for (float w : after.tensors.at("policy/log_width").values)
    EXPECT_TRUE(w >= std::log(0.29f) && w <= std::log(0.3f) + 2.01f) << w;
  for (const auto& codes : strategy->propose(20, 50).codes) EXPECT_TRUE(is_legal(codes[0]));
}

TEST(ActionSpace, CoversExactlyTheLegalCodes) {
  for (int tmax : {3, 4, 6, 9}) {
    int legal = 0, reached = 0;
    Codes c;
    c.tmax = static_cast<std::uint8_t>(tmax);
    for (int t1 = 0; t1 <= tmax; ++t1)
      for (int v1 = 0; v1 <= tmax; ++v1)
        for (int t2 = 0; t2 <= tmax; ++t2)
          for (int v2 = 0; v2 <= tmax; ++v2) {
            c.t1 = t1, c.v1 = v1, c.t2 = t2, c.v2 = v2;
            legal += is_legal(c);
            bool all = true;
            for (Head head : drawn_heads(false)) {
              const auto [first, last] = legal_range(head, c);
              all = all && code_of(c, head) >= first && code_of(c, head) <= last;
            }
            reached += all;
            EXPECT_EQ(all, is_legal(c)) << to_string(c);
          }
    EXPECT_EQ(legal, reached);
    EXPECT_GT(legal, 0);
  }
}

/// Neither does a comparison with what is no number go round for ever, nor does an order contradict itself.
TEST(Strategies, RewardsThatAreNoNumbersAreTheWorst) {
  using namespace triseg::testing;
  const std::vector<SiteData> sites = three_sites();
  for (const StrategyKind kind : {StrategyKind::ppo, StrategyKind::cma_es}) {
    std::vector<std::vector<Codes>> after;
    for (const double bad : {std::numeric_limits<double>::quiet_NaN(), -std::numeric_limits<double>::infinity()}) {
      const auto strategy = make_strategy({.kind = kind}, sites, 3);
      std::vector<Episode> episodes;
      for (auto& codes : strategy->propose(0, 64).codes) {
        Episode e;
        e.reward = episodes.size() % 5 == 2 ? bad : toy_reward(sites, codes);
        e.codes = std::move(codes);
        episodes.push_back(std::move(e));
      }
      Update update;
      strategy->learn(episodes, {}, update);
      after.push_back(strategy->most_probable());
    }
    EXPECT_EQ(after[0], after[1]) << int(kind);
    for (const Codes& codes : after[0]) EXPECT_TRUE(is_legal(codes)) << int(kind);
  }
}

}  // namespace
}  // namespace triseg
