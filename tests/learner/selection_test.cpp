#include "learner/selection.hpp"

#include "learner/image_order.hpp"

#include <gtest/gtest.h>

#include <set>

namespace triseg {
namespace {

Episode episode(std::uint64_t iteration, double reward, std::uint8_t t1) { return {iteration, reward, {}, {Codes{t1, 20, 30, 40, 50}}}; }

Update reference(double reward) {
  Update u;
  u.reference_reward = reward;
  return u;
}

TEST(BestEpisodes, CountsTheGainOverTheReferenceOnTheSameImages) {
  // Iteration 1 has easy images: its rewards are high, but so is the reference's.
  const std::vector<Update> updates = {reference(-0.5), reference(-0.1)};
  const std::vector<Episode> episodes = {episode(0, -0.30, 1), episode(0, -0.45, 2), episode(1, -0.05, 3), episode(1, -0.12, 4)};
  EXPECT_EQ(best_episodes(episodes, updates, 3), (std::vector<std::size_t>{0, 2, 1}));
}

TEST(BestEpisodes, TakesEqualCodesOnceAndTheEarlierOfEqualGains) {
  const std::vector<Update> updates = {reference(-1)};
  const std::vector<Episode> episodes = {episode(0, -0.5, 1), episode(0, -0.4, 2), episode(0, -0.4, 2), episode(0, -0.4, 3)};
  EXPECT_EQ(best_episodes(episodes, updates, 30), (std::vector<std::size_t>{1, 3, 0}));
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

TEST(Reward, IsMinusKdMinusWeightedAttention) {
  Score s;
  s.images = 4;
  s.kd = 2.0;
  s.attention = 1.0;
  EXPECT_DOUBLE_EQ(reward(s, 0.5), -(0.5 + 0.5 * 0.25));
}

TEST(IterationImages, APassVisitsImagesAtMostOnceAndDependsOnSeedAndIteration) {
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
