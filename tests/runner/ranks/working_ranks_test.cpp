// How many ranks are chosen, by what iterations take.
#include "runner/ranks/working_ranks.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <functional>

namespace triseg {
namespace {

using testing::HasSubstr;

constexpr std::size_t items = 65;
constexpr std::uint64_t images = items * 32;

/// The numbers of ranks that iterations are scored with, the last of them the choice.
std::vector<std::size_t> tried(WorkingRanks& ranks, const std::function<double(std::size_t)>& seconds) {
  std::vector<std::size_t> working;
  for (int i = 0; i < 60; ++i) {
    working.push_back(ranks.of_iteration(items));
    ranks.took(images, seconds(working.back()));
  }
  return working;
}

/// What a fixed part, shared work and messages take [ms]; a search of one GPU that is half work is {5, 5, ...}.
struct Cost {
  double fixed, work, message;
  double operator()(std::size_t ranks) const {
    return 1e-3 * (fixed + work * std::ceil(double(items) / double(ranks)) / items + message * double(ranks));
  }
};

TEST(WorkingRanks, AreAllWhereMorePay) {
  for (const std::size_t n : {2, 3, 8, 64}) {
    WorkingRanks ranks(n);
    const auto working = tried(ranks, Cost{0.1, 60, 0.001});
    EXPECT_EQ(working.back(), n);
    EXPECT_EQ(std::count(working.begin(), working.end(), n), 59) << "one iteration tells that half of them are slower";
    EXPECT_EQ(ranks.of_images(1), n);
    EXPECT_EQ(ranks.news(), std::nullopt);
  }
}

TEST(WorkingRanks, AreOneWhereMoreDoNotPay) {
  for (const std::size_t n : {2, 3, 8, 64}) {
    WorkingRanks ranks(n);
    EXPECT_EQ(tried(ranks, Cost{2, 0.1, 0.5}).back(), 1u);
    const auto line = ranks.news();
    ASSERT_TRUE(line);
    EXPECT_THAT(*line, HasSubstr("1 of " + std::to_string(n) +
                                 " ranks score: more did not pay (3.05 ms an iteration with 2, 2.6 ms with 1)"));
    EXPECT_EQ(ranks.news(), std::nullopt) << "it is said once";
  }
}

TEST(WorkingRanks, AreTheFastestOfTheHalvesBetween) {
  for (const double message : {0.001, 0.004, 0.03, 0.1, 1.0}) {
    const Cost cost{1, 6, message};
    std::size_t best = 64;
    for (std::size_t n = 64; n > 0; n /= 2)
      if (cost(n) < cost(best)) best = n;
    WorkingRanks ranks(64);
    EXPECT_EQ(tried(ranks, cost).back(), best) << message;
  }
}

TEST(WorkingRanks, OneSlowIterationDecidesNothing) {
  for (const int disturbed : {1, 3, 5}) {  // of all ranks; the next is one of half of them
    WorkingRanks ranks(8);
    int i = 0;
    const auto working = tried(ranks, [&](std::size_t n) { return Cost{1, 6, 0.001}(n) * (i++ == disturbed ? 3 : 1); });
    EXPECT_EQ(working.back(), 8u) << disturbed;
  }
  WorkingRanks ranks(8);
  int i = 0;
  EXPECT_EQ(tried(ranks,
                  [&](std::size_t n) {
                    return i++ == 0 ? 9 : Cost{1, 0.6, 0.3}(n);
                  })
                .back(),
            1u)
      << "the first warms up";
}

TEST(WorkingRanks, AreNoMoreThanItems) {
  WorkingRanks ranks(512);
  const auto working = tried(ranks, Cost{1, 60, 0.0001});
  EXPECT_EQ(working.back(), items);
  EXPECT_EQ(*std::max_element(working.begin(), working.end()), items);
  EXPECT_EQ(ranks.news(), "65 of 512 ranks score: an iteration has no more candidates");
}

TEST(WorkingRanks, OfALargerRequestHaveNoLessToDo) {
  WorkingRanks ranks(8);
  EXPECT_EQ(ranks.of_images(1), 8u) << "nothing is known yet";
  EXPECT_EQ(tried(ranks, Cost{1, 6, 0.4}).back(), 4u);
  EXPECT_EQ(ranks.of_images(images), 4u);
  EXPECT_EQ(ranks.of_images(images / 4), 1u);
  EXPECT_EQ(ranks.of_images(images * 3 / 2), 6u);
  EXPECT_EQ(ranks.of_images(100 * images), 8u);
  EXPECT_EQ(ranks.of_images(0), 1u);
}

TEST(WorkingRanks, IterationsOfAnotherSizeAreNoMeasurement) {
  WorkingRanks ranks(2);
  ranks.of_iteration(items);
  ranks.took(images, 1);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(ranks.of_iteration(items), 2u);
    ranks.took(images / 2, 1);
  }
}

}  // namespace
}  // namespace triseg
