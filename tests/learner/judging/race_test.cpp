#include "learner/judging/race.hpp"

#include "core/philox.hpp"
#include "learner/judging/selection.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace triseg {
namespace {

constexpr std::uint64_t all_images = 10000, records = all_images / split_batch;

/// Mean rewards over every record of all images, and of every 1000 images how many only the teacher has right.
struct Contestant {
  std::vector<double> rewards;  // (records)
  std::uint64_t teacher_only = 0;
};

void score(Finalist& f, const Contestant& contestant, std::uint64_t end) {
  for (std::uint64_t r = f.record_rewards.size(); r < end / split_batch; ++r)
    f.record_rewards.push_back(split_batch * contestant.rewards[r]);
  f.score.images = end;
  f.score.both_right = end / 2;
  f.score.teacher_only = contestant.teacher_only * end / 1000;
}

/// All heats, as a search scores them.
std::vector<Heat> run(const std::vector<Contestant>& contestants, double max_acc_drop,
                      std::vector<Finalist>& finalists) {
  finalists.assign(contestants.size(), {});
  std::vector<Heat> heats;
  for (Heat heat = next_heat(finalists, all_images, max_acc_drop); !heat.finalists.empty();
       heat = next_heat(finalists, all_images, max_acc_drop)) {
    for (const std::size_t f : heat.finalists) {
      EXPECT_EQ(finalists[f].score.images, heat.begin);
      score(finalists[f], contestants[f], heat.end);
    }
    heats.push_back(heat);
  }
  return heats;
}

std::vector<std::uint64_t> images_of(const std::vector<Finalist>& finalists) {
  std::vector<std::uint64_t> images;
  for (const Finalist& f : finalists) images.push_back(f.score.images);
  return images;
}

/// Rewards that lie `mean` above a common course, by turns one more and one less.
Contestant swinging(double mean, std::uint64_t teacher_only = 0) {
  Contestant c{std::vector<double>(records), teacher_only};
  for (std::size_t r = 0; r < records; ++r) c.rewards[r] = mean - 10 + double(r % 7) + (r % 2 ? 1 : -1);
  return c;
}

Contestant course(std::uint64_t teacher_only = 0) {
  Contestant c = swinging(0, teacher_only);
  for (std::size_t r = 0; r < records; ++r) c.rewards[r] -= r % 2 ? 1 : -1;
  return c;
}

TEST(Race, DropsWhoIsBeatenByStudentsTest) {
  // Two finalists, so each look has the level 0.05 / 5 = 0.01, whose t at 6 degrees (8 records: 7, rounded down) is
  // 3.143. Differences are m + 1 and m - 1: deviation sqrt(8 / 7), error of the mean sqrt(1 / 7), and sqrt(9 / 10) of
  // that with 1000 of 10000 images. So m must be above 3.143 sqrt(9 / 70) = 1.127.
  std::vector<Finalist> finalists;
  run({course(), swinging(1.130)}, 100, finalists);
  EXPECT_EQ(images_of(finalists), (std::vector<std::uint64_t>{1000, all_images}));
  const std::vector<Heat> heats = run({course(), swinging(1.124)}, 100, finalists);
  // With 2000 images: 14 degrees, 2.624 sqrt(16 / 15 / 16 * 8 / 10) = 0.606.
  EXPECT_EQ(images_of(finalists), (std::vector<std::uint64_t>{2000, all_images}));
  std::vector<std::uint64_t> ends;
  for (const Heat& heat : heats) ends.push_back(heat.end);
  EXPECT_EQ(ends, (std::vector<std::uint64_t>{1000, 2000, 4000, 6000, 8000, 10000}));
  EXPECT_EQ(heats[0].finalists, (std::vector<std::size_t>{0, 1}));
  EXPECT_EQ(heats[2].finalists, (std::vector<std::size_t>{1}));
  // Three finalists share the error: at 0.005 t is 3.707, and m must be above 1.329.
  run({course(), swinging(1.32), course()}, 100, finalists);
  EXPECT_EQ(images_of(finalists), (std::vector<std::uint64_t>{2000, all_images, 2000}));
  run({course(), swinging(1.34), course()}, 100, finalists);
  EXPECT_EQ(images_of(finalists), (std::vector<std::uint64_t>{1000, all_images, 1000}));
}

TEST(Race, WhoBeatsMustNotBeBeyondTheLimit) {
  std::vector<Finalist> finalists;
  // Drops of 1.1 points are beyond a limit of 1 for certain on all images alone: the second comes back then.
  const std::vector<Heat> heats = run({swinging(3, 11), course(5)}, 1, finalists);
  EXPECT_EQ(images_of(finalists), (std::vector<std::uint64_t>{all_images, all_images}));
  EXPECT_EQ(heats[1].finalists, (std::vector<std::size_t>{0}));
  EXPECT_EQ(heats.back().finalists, (std::vector<std::size_t>{1}));
  EXPECT_EQ(heats[heats.size() - 5].begin, 1000u) << "where it had stopped";
  // A third within the limit, beaten by the first alone: it is scored like the second, which it beats.
  run({swinging(9, 11), course(5), swinging(4, 5)}, 1, finalists);
  EXPECT_EQ(images_of(finalists), (std::vector<std::uint64_t>{all_images, 1000, all_images}));
  // Drops of 10 points are beyond it at once, and being better does not keep the second from the test on its own.
  run({swinging(3, 100), course(5)}, 1, finalists);
  EXPECT_EQ(images_of(finalists), (std::vector<std::uint64_t>{all_images, all_images}));
  // Both beyond: the reward decides.
  run({swinging(3, 100), course(100)}, 1, finalists);
  EXPECT_EQ(images_of(finalists), (std::vector<std::uint64_t>{all_images, 1000}));
}

TEST(Race, SmallSplitsAndLoneFinalistsAreScoredOnAll) {
  const std::vector<Finalist> none(3);
  const Heat heat = next_heat(none, 433, 1);
  EXPECT_EQ(heat.finalists, (std::vector<std::size_t>{0, 1, 2}));
  EXPECT_EQ(heat.end, 433u);
  std::vector<Finalist> finalists;
  run({course(900)}, 1, finalists);
  EXPECT_EQ(images_of(finalists), (std::vector<std::uint64_t>{all_images}));
  run({course(), course()}, 1, finalists);
  EXPECT_EQ(images_of(finalists), (std::vector<std::uint64_t>{all_images, all_images})) << "equal ones stay";
}

TEST(Race, WithoutDroppingGoesOnTogether) {
  std::vector<Finalist> finalists(2);
  std::vector<std::uint64_t> ends;
  for (Heat heat = next_heat_of_all(finalists, 4500); !heat.finalists.empty();
       heat = next_heat_of_all(finalists, 4500)) {
    EXPECT_EQ(heat.finalists, (std::vector<std::size_t>{0, 1}));
    for (Finalist& f : finalists) f.score.images = heat.end;
    ends.push_back(heat.end);
  }
  EXPECT_EQ(ends, (std::vector<std::uint64_t>{2000, 4000, 4500}));
}

/// Contestants whose rewards differ by chance alone, all records alike: what is best on all images is best by luck, the
/// hardest case there is.
std::vector<Contestant> equals(std::uint64_t seed, std::size_t count) {
  std::vector<Contestant> contestants(count, {std::vector<double>(records)});
  for (std::size_t c = 0; c < count; ++c)
    for (std::size_t r = 0; r < records; ++r)
      for (std::uint32_t k = 0; k < 4; ++k)  // nearly normal, with a common part that pairing takes out
        contestants[c].rewards[r] += uniform(seed, Stream::self_test, c, std::uint32_t(r), k) +
                                     10 * uniform(seed, Stream::self_test, count, std::uint32_t(r));
  return contestants;
}

TEST(Race, LosesTheBestNoMoreOftenThanItsErrorSays) {
  constexpr int races = 400;
  int lost = 0, dropped = 0;
  for (std::uint64_t seed = 0; seed < races; ++seed) {
    const std::vector<Contestant> contestants = equals(seed, 8);
    std::vector<Finalist> finalists, whole(contestants.size());
    run(contestants, 100, finalists);
    for (std::size_t c = 0; c < contestants.size(); ++c) score(whole[c], contestants[c], all_images);
    std::size_t best = 0;
    for (std::size_t c = 1; c < contestants.size(); ++c)
      if (reward_difference(whole[c].record_rewards, whole[best].record_rewards, all_images).mean > 0) best = c;
    lost += finalists[best].score.images < all_images;
    dropped += std::count_if(finalists.begin(), finalists.end(),
                             [](const Finalist& f) { return f.score.images < all_images; });
    EXPECT_GT(std::count_if(finalists.begin(), finalists.end(),
                            [](const Finalist& f) { return f.score.images == all_images; }),
              0);
  }
  EXPECT_LE(lost, races * race_error);
  EXPECT_GT(dropped, races / 10) << "those that are behind by luck are dropped";
}

TEST(Race, NeverDropsTheLeader) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    std::vector<Contestant> contestants = equals(seed, 6);
    for (std::size_t c = 0; c < contestants.size(); ++c) {
      contestants[c].teacher_only = 5 + 2 * c;  // drops around the limit
      for (double& reward : contestants[c].rewards) reward += 0.1 * double(c);
    }
    std::vector<Finalist> finalists(contestants.size());
    for (Heat heat = next_heat(finalists, all_images, 1); !heat.finalists.empty();
         heat = next_heat(finalists, all_images, 1)) {
      std::size_t leader = 0;  // of those with the most images
      for (std::size_t c = 1; c < finalists.size(); ++c) {
        const auto a = finalists[c].score.images, b = finalists[leader].score.images;
        if (a > b || (a == b && reward_difference(finalists[c].record_rewards, finalists[leader].record_rewards,
                                                  std::max<std::uint64_t>(1, a))
                                        .mean > 0))
          leader = c;
      }
      const bool races = std::find(heat.finalists.begin(), heat.finalists.end(), leader) != heat.finalists.end();
      EXPECT_TRUE(races || heat.begin < finalists[leader].score.images) << "those behind catch up first";
      for (const std::size_t f : heat.finalists) score(finalists[f], contestants[f], heat.end);
    }
    EXPECT_EQ(std::max_element(finalists.begin(), finalists.end(),
                               [](auto& a, auto& b) { return a.score.images < b.score.images; })
                  ->score.images,
              all_images);
  }
}

}  // namespace
}  // namespace triseg
