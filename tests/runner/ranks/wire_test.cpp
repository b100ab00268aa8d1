#include "runner/ranks/wire.hpp"

#include "tests/error_of.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace triseg {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t huge[] = {1ull << 31, 1ull << 40, 1ull << 62, 0x3333333333333334ull /* times 5 is 4 */, ~0ull};

/// A request that has something of everything.
ScoreRequest full_request() {
  ScoreRequest r{
      Split::validation, 16, {5, 4, 3}, {{{1, 2, 3, 4, 5}, {6, 7, 8, 9, 250}}, {}, {{1, 2, 2, 3, 9}, {0, 0, 0, 0, 0}}}};
  r.repairs = {{std::nullopt, Requantization{{0.5f, -0.0f}, {-7, 1 << 30}}, Requantization{}}, {}};
  r.repair_of = {1, no_repair, 0};
  r.phase = "a phase whose name is longer than any buffer that somebody might think large enough for it, iteration 17";
  r.next_images = {9, 8};
  return r;
}

void expect_equal(const ScoreRequest& a, const ScoreRequest& b) {
  EXPECT_EQ(a.split, b.split);
  EXPECT_EQ(a.batch_size, b.batch_size);
  EXPECT_EQ(a.images, b.images);
  EXPECT_EQ(a.candidates, b.candidates);
  EXPECT_EQ(a.repairs, b.repairs);
  EXPECT_EQ(a.repair_of, b.repair_of);
  EXPECT_EQ(a.phase, b.phase);
  EXPECT_EQ(a.next_images, b.next_images);
}

/// The message with the eight bytes at `at` replaced.
std::vector<std::byte> with_number(std::vector<std::byte> message, std::size_t at, std::uint64_t number) {
  std::memcpy(&message.at(at + sizeof number - 1) - (sizeof number - 1), &number, sizeof number);
  return message;
}

TEST(Wire, OrdersComeBackAsTheyWere) {
  for (const Task task : {Task::score, Task::histograms, Task::moments}) {
    const Order order = decode_order(encode(task, 7, full_request()));
    EXPECT_EQ(order.task, task);
    EXPECT_EQ(order.working, 7u);
    expect_equal(order.request, full_request());
  }
  ScoreRequest least;
  least.batch_size = 1;
  expect_equal(decode_order(encode(Task::score, 1, least)).request, least);
  for (const int exit_code : {0, 85, -1}) {
    const Order order = decode_order(encode_finish(exit_code));
    EXPECT_EQ(order.task, Task::finish);
    EXPECT_EQ(order.exit_code, exit_code);
  }
}

TEST(Wire, EveryTruncatedOrderIsAnError) {
  for (const auto& whole : {encode(Task::score, 1, full_request()), encode_finish(85)}) {
    for (std::size_t bytes = 0; bytes < whole.size(); ++bytes)
      EXPECT_THAT(error_of([&] { decode_order(std::span(whole).first(bytes)); }), HasSubstr("too short"))
          << bytes << " of " << whole.size();
  }
}

TEST(Wire, EveryOverlongOrderIsAnError) {
  for (auto message : {encode(Task::score, 1, full_request()), encode_finish(85)}) {
    for (int more = 1; more < 20; ++more) {
      message.push_back(std::byte{0});
      EXPECT_THAT(error_of([&] { decode_order(message); }), HasSubstr("too long"));
    }
  }
}

/// Wherever a length may be, a huge one is refused; had it been allocated, the test would have no memory left.
TEST(Wire, HugeCountsAreErrors) {
  const auto whole = encode(Task::score, 1, full_request());
  const auto original = decode_order(whole).request;
  std::size_t refused = 0;
  for (std::size_t at = 0; at + 8 <= whole.size(); ++at) {
    for (const std::uint64_t count : huge) {
      try {
        decode_order(with_number(whole, at, count));  // values may be anything
      } catch (const Error&) {
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 0u);
  for (const std::uint64_t count : huge) {
    constexpr std::size_t of_images = 16;  // behind task, working ranks, split and batch size
    EXPECT_THAT(error_of([&] { decode_order(with_number(whole, of_images, count)); }),
                HasSubstr(std::to_string(count) + " values of 4 bytes"));
    const std::size_t of_candidates = of_images + 8 + original.images.size() * 4;
    EXPECT_THAT(error_of([&] { decode_order(with_number(whole, of_candidates, count)); }),
                HasSubstr(std::to_string(count)));
    EXPECT_THAT(error_of([&] { decode_order(with_number(whole, of_candidates + 8, count)); }),
                HasSubstr(std::to_string(count) + " values of 5 bytes"));
  }
}

TEST(Wire, OrdersWithoutMeaningAreErrors) {
  const auto refusal = [](auto change) {
    ScoreRequest r = full_request();
    change(r);
    const auto message = encode(Task::score, 1, r);
    return error_of([&] { decode_order(message); });
  };
  EXPECT_THAT(refusal([](ScoreRequest& r) { r.split = static_cast<Split>(3); }), HasSubstr("split 3"));
  EXPECT_THAT(refusal([](ScoreRequest& r) { r.batch_size = 0; }), HasSubstr("batches of no image"));
  EXPECT_THAT(refusal([](ScoreRequest& r) { r.repair_of.pop_back(); }), HasSubstr("3 candidates and repairs of 2"));
  EXPECT_THAT(refusal([](ScoreRequest& r) { r.repair_of[0] = 2; }), HasSubstr("repair 2 of 2"));
  EXPECT_THAT(refusal([](ScoreRequest& r) { r.repairs[0][1]->bias.pop_back(); }),
              HasSubstr("2 multipliers and 1 biases"));
  auto message = encode(Task::score, 1, full_request());
  EXPECT_THAT(error_of([] { decode_order(encode(Task::score, 0, full_request())); }), HasSubstr("none of them work"));
  message[0] = std::byte{4};
  EXPECT_THAT(error_of([&] { decode_order(message); }), HasSubstr("task 4"));
}

template <class T>
class Answers : public ::testing::Test {};
using Records = ::testing::Types<Score, Moments, Histogram>;
TYPED_TEST_SUITE(Answers, Records);

TYPED_TEST(Answers, ComeBackAsTheyWereOrNotAtAll) {
  std::vector<TypeParam> records(3);
  for (std::size_t i = 0; i < records.size(); ++i)
    std::memset(static_cast<void*>(&records[i]), 17 * (int(i) + 1), sizeof(TypeParam));
  for (const bool stop : {false, true}) {
    auto message = encode_answer(stop, 0.25, records);
    const auto answer = decode_answer<TypeParam>(message, 2, 3);
    EXPECT_EQ(answer.stop, stop);
    EXPECT_EQ(answer.seconds, 0.25);
    ASSERT_EQ(answer.records.size(), 3u);
    // Bits, not values: a NaN is to arrive, too. NOLINTNEXTLINE(bugprone-suspicious-memory-comparison)
    EXPECT_EQ(std::memcmp(answer.records.data(), records.data(), 3 * sizeof(TypeParam)), 0);
    EXPECT_EQ(error_of([&] { decode_answer<TypeParam>(message, 2, 4); }),
              "the answer of rank 2 has 3 records, expected 4");
    for (std::size_t bytes = 0; bytes < message.size(); ++bytes)
      EXPECT_THAT(error_of([&] { decode_answer<TypeParam>(std::span(message).first(bytes), 2, 3); }),
                  HasSubstr("too short"));
    for (const std::uint64_t count : huge)
      EXPECT_THAT(error_of([&] { decode_answer<TypeParam>(with_number(message, 9, count)); }), HasSubstr("too short"));
    message.push_back(std::byte{1});
    EXPECT_THAT(error_of([&] { decode_answer<TypeParam>(message, 2, 3); }), HasSubstr("too long"));
  }
}

}  // namespace
}  // namespace triseg
