#include "trainer/codes_network.hpp"

#include "tests/trainer/small_shapes.hpp"
#include "trainer/batches.hpp"
#include "trainer/conversion.hpp"
#include "trainer/trainable_network.hpp"
#include "worker/engines/engines.hpp"
#include "worker/scorer.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace triseg {
namespace {

constexpr int batch = 64;

/// A network trained for a few steps and quantized, its attention layers, and codes for it.
struct Fixture {
  DataSet data = small_shapes(600, 40);
  PixelSet training;
  Problem problem;
  std::vector<Codes> codes;

  explicit Fixture(const std::string& name) {
    set_training_threads(1);
    const Network network = make_recipe(name).network;
    training = lay_out(network, data, Split::search);
    const PixelStatistics statistics = pixel_statistics(training);
    TrainableNetwork trainable(make_recipe(name), Scheme::fbgemm, statistics.mean, statistics.standard_deviation, 1,
                               "cpu");
    for (int i = 0; i < 12; ++i)
      trainable.step(pixels(i % 4), std::span(training.labels).subspan((i % 4) * batch, batch),
                     {.learning_rate = 0.02});
    trainable.fold();
    trainable.calibrate(pixels(0));
    problem = make_problem(convert(network, Scheme::fbgemm, "shapes", trainable.trained()));
    for (std::size_t i = 0; i < problem.sites.size(); ++i)
      codes.push_back({10, 20, 32, 42, std::uint8_t(i % 2 ? 255 : 64)});
  }

  std::span<const std::uint8_t> pixels(int i) const {
    return std::span(training.pixels).subspan(i * batch * training.image_size(), batch * training.image_size());
  }

  /// The negative reward that the INT8 engine gives the codes on the first images.
  double loss(const std::vector<Codes>& student) const {
    Scorer scorer(problem, data, engine_factory(EngineKind::automatic, problem), 1, 2.0);
    ScoreRequest request{Split::search, batch, std::vector<std::uint32_t>(batch), {student}, {}, {}, {}};
    std::iota(request.images.begin(), request.images.end(), 0u);
    const Score score = scorer.score(request, 0, request.items()).front();
    return score.mean_kd() + 0.1 * score.mean_attention();
  }
};

TEST(CodesNetwork, ComputesTheRewardOfTheInt8Engine) {
  for (const char* name : {"alexnet", "resnet8"}) {
    const Fixture f(name);
    ASSERT_FALSE(f.problem.attention.empty());
    CodesNetwork network(f.problem, {}, {}, "cpu");
    EXPECT_NEAR(network.gradient(f.pixels(0), f.codes).loss, f.loss(f.codes), 1e-5 * (1 + f.loss(f.codes))) << name;
  }
}

/// A level's gradient is exact where nothing behind it rounds; through more layers it points the right way. Here the
/// last site, whose outputs go to the logits through one layer.
TEST(CodesNetwork, TellsWhatTheLossDoesWhereCodesOfTheLastSiteMove) {
  const Fixture f("lenet5");
  CodesNetwork network(f.problem, {}, {.smoothing = 0.5}, "cpu");
  const std::size_t last = f.codes.size() - 1;
  const SiteGradient g = network.gradient(f.pixels(0), f.codes).sites[last];
  const auto difference = [&](std::uint8_t Codes::*code, int by) {
    auto up = f.codes, down = f.codes;
    up[last].*code = std::uint8_t(up[last].*code + by);
    down[last].*code = std::uint8_t(down[last].*code - by);
    return (f.loss(up) - f.loss(down)) / (2 * by);
  };
  // Logits are rounded to codes, which adds noise of some 1e-4 to a difference; only v2's is large beside it.
  const double large = difference(&Codes::v2, 3);
  EXPECT_GT(std::abs(large), 1e-3);
  EXPECT_NEAR(g.v2, large, 0.1 * std::abs(large));
  EXPECT_NE(g.v1, 0);
  EXPECT_NEAR(g.v1, difference(&Codes::v1, 3), 0.1 * std::abs(large));
  for (const auto& [found, code] : {std::pair(g.t1, &Codes::t1), {g.t2, &Codes::t2}})
    EXPECT_GT(found * difference(code, 4), 0) << "the right way";
  EXPECT_EQ(g.tmax, 0) << "nothing passes behind 255";
}

TEST(CodesNetwork, RepeatsToTheBitWithTheSameThreads) {
  const Fixture f("lenet5");
  const auto once = [&] { return CodesNetwork(f.problem, {}, {}, "cpu").gradient(f.pixels(1), f.codes); };
  const CodesStep a = once(), b = once();
  EXPECT_EQ(a.loss, b.loss);
  for (std::size_t l = 0; l < f.codes.size(); ++l) {
    EXPECT_EQ(a.sites[l].v1, b.sites[l].v1);
    EXPECT_EQ(a.sites[l].t2, b.sites[l].t2);
  }
}

}  // namespace
}  // namespace triseg
