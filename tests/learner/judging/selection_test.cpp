#include "learner/judging/selection.hpp"

#include "learner/image_order.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace triseg {
namespace {

Episode episode(std::uint64_t iteration, double reward, std::uint8_t t1) {
  return {iteration, reward, {}, {Codes{t1, 20, 30, 40, 50}}};
}

Update reference(double reward) {
  Update u;
  u.reference_reward = reward;
  return u;
}

TEST(BestEpisodes, CountsTheGainOverTheReferenceOnTheSameImages) {
  // Iteration 1 has easy images: its rewards are high, but so is the reference's.
  const std::vector<Update> updates = {reference(-0.5), reference(-0.1)};
  const std::vector<Episode> episodes = {episode(0, -0.30, 1), episode(0, -0.45, 2), episode(1, -0.05, 3),
                                         episode(1, -0.12, 4)};
  EXPECT_EQ(best_episodes(episodes, updates, 3), (std::vector<std::size_t>{0, 2, 1}));
}

TEST(BestEpisodes, TakesEqualCodesOnceAndTheEarlierOfEqualGains) {
  const std::vector<Update> updates = {reference(-1)};
  const std::vector<Episode> episodes = {episode(0, -0.5, 1), episode(0, -0.4, 2), episode(0, -0.4, 2),
                                         episode(0, -0.4, 3)};
  EXPECT_EQ(best_episodes(episodes, updates, 30), (std::vector<std::size_t>{1, 3, 0}));
}

TEST(BestEpisodes, TakesAsManyOfEveryPart) {
  // Episodes of part 1 have lower rewards throughout, but as good a claim.
  std::vector<Update> updates(4);
  for (std::size_t i = 0; i < 4; ++i) updates[i].branch = i % 2;
  std::vector<Episode> episodes;
  for (std::uint8_t i = 0; i < 16; ++i)
    episodes.push_back(episode(i / 4, (i / 4 % 2 ? -5.0 : -1.0) - i / 100.0, std::uint8_t(1 + i)));
  EXPECT_EQ(best_episodes(episodes, updates, 5), (std::vector<std::size_t>{0, 1, 4, 5})) << "5 / 2 of each, best first";
  EXPECT_EQ(best_episodes(episodes, updates, 1), (std::vector<std::size_t>{0, 4})) << "at least one of each";
}

Candidate candidate(std::uint64_t teacher_only, std::uint64_t student_only) {
  Candidate c;
  c.validation.images = 1000;
  c.validation.both_right = 900 - teacher_only;
  c.validation.teacher_only = teacher_only;
  c.validation.student_only = student_only;
  return c;
}

TEST(Choose, TakesTheBestWithinTheDropElseTheBest) {
  const std::vector<Candidate> candidates = {candidate(30, 5), candidate(12, 2), candidate(4, 2)};
  EXPECT_DOUBLE_EQ(accuracy_drop(candidates[0].validation), 2.5);
  EXPECT_EQ(choose(candidates, 3.0).index, 0u);
  EXPECT_EQ(choose(candidates, 1.0).index, 1u);
  EXPECT_TRUE(choose(candidates, 1.0).within);
  EXPECT_EQ(choose(candidates, 0.1).index, 0u);
  EXPECT_FALSE(choose(candidates, 0.1).within);
}

TEST(ChooseWidest, TakesTheLargestCoverageWithinTheDrop) {
  const std::vector<Candidate> candidates = {candidate(4, 2), candidate(12, 2), candidate(30, 5), candidate(12, 2)};
  const std::vector<double> coverage = {0.9, 0.98, 0.99, 0.98};
  EXPECT_EQ(choose_widest(candidates, coverage, 3.0).index, 2u);
  EXPECT_EQ(choose_widest(candidates, coverage, 1.0).index, 1u) << "of equal ones the first";
  EXPECT_EQ(choose_widest(candidates, coverage, 0.5).index, 0u);
  EXPECT_TRUE(choose_widest(candidates, coverage, 0.5).within);
  EXPECT_FALSE(choose_widest(candidates, coverage, 0.1).within);
  EXPECT_EQ(choose_widest(candidates, coverage, 0.1).index, 0u) << "none is within: the best";
}

TEST(Reward, IsMinusKdMinusWeightedAttention) {
  Score s;
  s.images = 4;
  s.kd = 2.0;
  s.attention = 1.0;
  EXPECT_DOUBLE_EQ(reward(s, 0.5), -(0.5 + 0.5 * 0.25));
}

TEST(AddRecords, SumsEveryFinalistAndKeepsItsRecords) {
  std::vector<Finalist> finalists(3);
  const std::vector<std::size_t> both = {0, 2};
  const auto record = [](double kd, double attention) { return Score{kd, attention, 125, 100, 5, 2}; };
  const std::vector<Score> first = {record(1, 10), record(2, 20)}, second = {record(3, 30), record(4, 40)};
  add_records(finalists, both, first, 0.5);
  add_records(finalists, both, second, 0.5);
  EXPECT_EQ(finalists[0].score, (Score{4, 40, 250, 200, 10, 4}));
  EXPECT_EQ(finalists[0].record_rewards, (std::vector<double>{-6, -18}));
  EXPECT_EQ(finalists[1], Finalist{}) << "it is not among them";
  EXPECT_EQ(finalists[2].record_rewards, (std::vector<double>{-12, -24}));
}

TEST(RewardDifference, IsPairedOverRecords) {
  // Differences of the sums: 250, 0, 125 over three full records: mean 375 / 375 = 1 an image, deviations 125, -125, 0,
  // error sqrt(3 / 2 * 2 * 125^2) / 375 = 1 / sqrt 3. What makes the first record hard for both cancels.
  const std::vector<double> a = {-9750, -100, -75}, b = {-10000, -100, -200};
  const Difference d = reward_difference(a, b, 375);
  EXPECT_DOUBLE_EQ(d.mean, 1);
  EXPECT_DOUBLE_EQ(d.error, 1 / std::sqrt(3.0));
  EXPECT_DOUBLE_EQ(reward_difference(b, a, 375).mean, -1);
  EXPECT_EQ(reward_difference(a, a, 375).error, 0);
  const Difference first = reward_difference(a, std::vector<double>{-10000, -100}, 250);
  EXPECT_DOUBLE_EQ(first.mean, 1) << "records that both have";
  EXPECT_DOUBLE_EQ(first.error, 1);
}

TEST(RewardDifference, AShortLastRecordCountsByItsImages) {
  // The same difference of 2 an image everywhere: no error, though the last record has 25 images.
  const Difference d = reward_difference(std::vector<double>{250, 50}, std::vector<double>{0, 0}, 150);
  EXPECT_DOUBLE_EQ(d.mean, 2);
  EXPECT_NEAR(d.error, 0, 1e-12);
  EXPECT_EQ(reward_difference(std::vector<double>{8}, std::vector<double>{4}, 2).mean, 2);
  EXPECT_EQ(reward_difference(std::vector<double>{8}, std::vector<double>{4}, 2).error, 0)
      << "one record tells no spread";
}

TEST(CountWithinError, CountsThoseThatNoiseMayPutBelowTheFirst) {
  std::vector<Candidate> candidates(3);
  for (Candidate& c : candidates) c.validation.images = 250;
  candidates[0].record_rewards = {-10, -10};
  candidates[1].record_rewards = {-30, -8};   // -18 in all, +- 22
  candidates[2].record_rewards = {-30, -29};  // -39 in all, +- 1
  EXPECT_EQ(count_within_error(candidates), 2u);
  EXPECT_EQ(count_scored_on_all(candidates), 3u);
  // On its first record alone the last one is not behind: 125 images tell no spread, so it must not be.
  candidates[2].validation.images = 125;
  candidates[2].record_rewards = {-10};
  EXPECT_EQ(count_within_error(candidates), 3u);
  EXPECT_EQ(count_scored_on_all(candidates), 2u);
}

TEST(ValidationGap, IsTestLessValidation) {
  const Score validation{10, 20, 100, 80, 10, 5}, test{60, 20, 200, 150, 30, 10};
  const Gap gap = validation_gap(validation, test, 0.5);
  EXPECT_DOUBLE_EQ(gap.kd, 0.3 - 0.1);
  EXPECT_DOUBLE_EQ(gap.reward, -(0.3 + 0.05) + (0.1 + 0.1));
  EXPECT_DOUBLE_EQ(gap.student_accuracy, 80.0 - 85.0);
  EXPECT_DOUBLE_EQ(gap.accuracy_drop, 10.0 - 5.0);
}

TEST(ImageOrder, APassVisitsImagesAtMostOnceAndDependsOnSeedAndIteration) {
  const auto iteration_images = [](std::size_t total, std::size_t count, std::uint64_t seed, std::uint64_t iteration) {
    return ImageOrder(total, count, seed).images(iteration);
  };
  ImageOrder order(100, 32, 9);
  for (const std::uint64_t i : {1, 0, 2, 4, 4, 3, 0})  // in any order
    EXPECT_EQ(order.images(i), iteration_images(100, 32, 9, i)) << i;
  std::set<std::uint32_t> seen;
  for (std::uint64_t i = 0; i < 3; ++i)
    for (std::uint32_t image : iteration_images(100, 32, 9, i)) {
      EXPECT_LT(image, 100u);
      EXPECT_TRUE(seen.insert(image).second);
    }
  EXPECT_EQ(seen.size(), 96u);
  EXPECT_EQ(iteration_images(100, 32, 9, 5), iteration_images(100, 32, 9, 5));
  EXPECT_NE(iteration_images(100, 32, 9, 0), iteration_images(100, 32, 9, 3)) << "the next pass has another order";
  EXPECT_NE(iteration_images(100, 32, 9, 0), iteration_images(100, 32, 10, 0));
  EXPECT_EQ(iteration_images(32, 32, 9, 4).size(), 32u);
}

}  // namespace
}  // namespace triseg
