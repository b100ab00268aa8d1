// Transports between the real ranks that mpirun starts; each rank runs every test and says which one fails on it.
#include "core/cores.hpp"
#include "runner/ranks/mpi_transport.hpp"
#include "runner/ranks/ranks.hpp"
#include "runner/ranks/rollout.hpp"
#include "tests/error_of.hpp"
#include "tests/worker/random_network.hpp"
#include "worker/engines/engines.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace triseg {
namespace {

constexpr double timeout = 60;  // [s]

std::shared_ptr<MpiSession> session;

Communicator world() { return Communicator(session); }

/// Bytes that tell their place and their sender.
std::vector<std::byte> pattern(std::size_t bytes, int sender) {
  std::vector<std::byte> message(bytes);
  for (std::size_t i = 0; i < bytes; ++i) message[i] = static_cast<std::byte>(i * 7 + i / 251 + 31 * sender);
  return message;
}

TEST(MpiRanks, MessagesOfAnyLengthArrive) {
  MpiTransport transport(world(), timeout);
  for (const std::size_t bytes : {0, 1, 1000, 5'000'000}) {
    auto message = transport.rank() == 0 ? pattern(bytes, 0) : pattern(3, 9);
    transport.broadcast(message);
    EXPECT_EQ(message, pattern(bytes, 0));
    const auto all = transport.gather(pattern(bytes + transport.rank(), transport.rank()));
    if (transport.rank() != 0) {
      EXPECT_TRUE(all.empty());
      continue;
    }
    ASSERT_EQ(all.size(), transport.size());
    for (int r = 0; r < transport.size(); ++r) EXPECT_EQ(all[r], pattern(bytes + r, r));
  }
}

TEST(MpiRanks, ManyMessagesKeepTheirOrder) {
  MpiTransport transport(world(), timeout);
  for (int i = 0; i < 300; ++i) {
    auto message = pattern(transport.rank() == 0 ? i : 0, i);
    transport.broadcast(message);
    EXPECT_EQ(message, pattern(i, i));
    const auto all = transport.gather(pattern(i % 7, i + transport.rank()));
    for (std::size_t r = 0; r < all.size(); ++r) EXPECT_EQ(all[r], pattern(i % 7, i + int(r)));
  }
}

TEST(MpiRanks, RanksOfAHostAreToldApart) {
  MpiTransport transport(world(), timeout);
  EXPECT_EQ(transport.local_rank(), transport.rank()) << "this test starts all on one host";
  EXPECT_GE(transport.threads(), 1);
  EXPECT_EQ(scoring_threads(0, transport), transport.threads());
  EXPECT_EQ(scoring_threads(7, transport), 7);
  for (const std::string& threads : gather_texts(transport, std::to_string(transport.threads())))
    EXPECT_LE(std::stoi(threads) * transport.size(),
              std::max<int>(transport.size(), cores_of_this_process().allowed.size()))
        << "ranks of one mask divide it";
}

TEST(MpiRanks, TheFirstFailureIsThatOfAll) {
  MpiTransport transport(world(), timeout);
  agree(transport, [] {});
  const std::string message = "what went wrong " + std::string(5000, '.') + " here";
  for (int broken = 0; broken < transport.size(); ++broken) {
    EXPECT_EQ(error_of([&] {
                agree(transport, [&] {
                  if (transport.rank() >= broken) fail("{} {}", message, transport.rank());
                });
              }),
              message + " " + std::to_string(broken));
  }
  EXPECT_EQ(error_of([&] { agree(transport, [] { throw std::runtime_error(""); }); }), "an error without a message");
}

TEST(MpiRanks, TextsThatDifferAnywhereAreFound) {
  MpiTransport transport(world(), timeout);
  const std::string common(1000, 'x');
  agree_on(transport, common + "a", "differs");
  if (transport.size() == 1) return;
  const int last = transport.size() - 1;
  EXPECT_EQ(error_of([&] { agree_on(transport, common + (transport.rank() == last ? "b" : "a"), "differs"); }),
            "rank " + std::to_string(last) + ": differs");
}

Problem problem() {
  using namespace triseg::testing;
  return random_problem(
      chain("small", 1, 28,
            {convolution("conv1", 4, 5, 3, 0, 2), fully_connected("fc1", 12), fully_connected("fc2", 10)}, {0, 1}),
      Scheme::fbgemm, 5);
}

ScoreRequest request(int which) {
  ScoreRequest r{Split::search, 8, std::vector<std::uint32_t>(30), {{}}};
  std::iota(r.images.begin(), r.images.end(), static_cast<std::uint32_t>(10 * which));
  for (int c = 1; c < 4 + which % 3; ++c) {
    const auto code = [&](int k) { return static_cast<std::uint8_t>((20 * c + 2 * which) * k / 5); };
    r.candidates.push_back(
        {{code(1), code(2), code(3), code(4), code(5)}, {code(1), code(2), code(3), code(4), code(5)}});
  }
  return r;
}

/// The trial, in which some ranks idle, is over after this many iterations of four ranks.
constexpr int trial = 10;

TEST(MpiRanks, ScoreTheSameWhoeverWorks) {
  MpiTransport transport(world(), timeout);
  const Problem small = problem();
  const DataSet data = load_data_set("shapes");
  Scorer scorer(small, data, engine_factory(EngineKind::reference, small), 1, 2.0);
  for (const bool dedicated : {false, true}) {
    Rollout rollout(transport, scorer, dedicated);
    if (transport.rank() != 0) {
      EXPECT_EQ(rollout.serve(), 7);
      continue;
    }
    for (int i = 0; i < trial; ++i) {
      ScoreRequest r = request(3 * i);
      r.images.resize(2);
      EXPECT_EQ(rollout.score_iteration(r), scorer.score(r, 0, r.items())) << i;
    }
    const ScoreRequest large = request(1);
    EXPECT_EQ(rollout.score(large), scorer.score(large, 0, large.items()));
    EXPECT_EQ(rollout.moments(large), scorer.moments(large, 0, large.items()));
    const auto histograms = rollout.histograms(large), expected = scorer.histograms(large, 0, large.batches());
    ASSERT_EQ(histograms.size(), expected.size());
    for (std::size_t s = 0; s < expected.size(); ++s) EXPECT_EQ(histograms[s].counts, expected[s].counts);
    rollout.finish(7);
  }
}

/// Two groups of two ranks score different requests, a different number of them, at once.
TEST(MpiGroups, WorkAtOnceWithoutHearingEachOther) {
  Communicator all = world();
  ASSERT_EQ(all.size(), 4);
  const int group = all.rank() % 2;
  MpiTransport transport(all.split(group), timeout);
  EXPECT_EQ(transport.size(), 2);
  EXPECT_EQ(transport.rank(), all.rank() / 2);
  EXPECT_EQ(transport.local_rank(), all.local_rank()) << "ranks of two groups do not share a GPU";
  EXPECT_EQ(transport.threads(), all.threads());

  const Problem small = problem();
  const DataSet data = load_data_set("shapes");
  Scorer scorer(small, data, engine_factory(EngineKind::reference, small), 1, 2.0);
  Rollout rollout(transport, scorer, false);
  const int orders = group == 0 ? 3 : 11;
  if (transport.rank() != 0) {
    EXPECT_EQ(rollout.serve(), 40 + group);
    return;
  }
  // Neither group can end before the other has begun: their first ranks exchange a message in the middle.
  const int other_learner = 1 - all.rank();
  for (int i = 0; i < orders; ++i) {
    const ScoreRequest r = request(2 * i + group);
    EXPECT_EQ(rollout.score(r), scorer.score(r, 0, r.items()));
    EXPECT_EQ(rollout.moments(r), scorer.moments(r, 0, r.items()));
    if (i != 1) continue;
    const auto mine = pattern(100, group);
    std::vector<std::byte> theirs;
    const auto sent = all.begin_send(other_learner, mine), received = all.begin_receive(other_learner, theirs);
    while (!sent()) {}
    while (!received()) {}
    EXPECT_EQ(theirs, pattern(100, 1 - group));
  }
  rollout.finish(40 + group);
}

TEST(MpiGroups, AFailureOfOneIsNotThatOfTheOther) {
  Communicator all = world();
  const int group = all.rank() / 2;
  MpiTransport transport(all.split(group), timeout);
  if (group == 0) {
    EXPECT_EQ(error_of([&] {
                agree(transport, [&] {
                  if (transport.rank() == 1) fail("of group 0");
                });
              }),
              "of group 0");
  } else {
    agree(transport, [] {});
  }
}

}  // namespace
}  // namespace triseg

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  triseg::session = std::make_shared<triseg::MpiSession>();
  const int result = RUN_ALL_TESTS();
  triseg::session.reset();
  return result;
}
