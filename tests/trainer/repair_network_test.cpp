#include "trainer/repair_network.hpp"

#include "core/error.hpp"
#include "tests/error_of.hpp"
#include "tests/trainer/small_shapes.hpp"
#include "tests/worker/random_graph.hpp"
#include "trainer/batches.hpp"
#include "trainer/conversion.hpp"
#include "worker/engines/engines.hpp"
#include "worker/scorer.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <numeric>

namespace triseg {
namespace {

using ::testing::HasSubstr;

constexpr int batch = 64;

/// A network trained for a few steps and quantized, some codes for it, and a batch of its images.
struct Fixture {
  DataSet data = small_shapes(600, 40);
  Network network;
  PixelSet training;
  Problem problem;
  QuantizedNetwork& model = problem.model;
  std::vector<Codes> codes;

  Fixture(const std::string& name, Scheme scheme, int steps = 12) : network(make_recipe(name).network) {
    set_training_threads(1);
    training = lay_out(network, data, Split::search);
    const PixelStatistics statistics = pixel_statistics(training);
    TrainableNetwork trainable(make_recipe(name), scheme, statistics.mean, statistics.standard_deviation, 1, "cpu");
    for (int i = 0; i < steps; ++i)
      trainable.step(pixels(i % 4), std::span(training.labels).subspan((i % 4) * batch, batch),
                     {.learning_rate = 0.02});
    trainable.fold();
    trainable.calibrate(pixels(0));
    problem = make_problem(convert(network, scheme, "shapes", trainable.trained()));
    const int top = activation_range(scheme);
    for (std::size_t i = 0; i < problem.sites.size(); ++i)
      codes.push_back({std::uint8_t(top / 12), std::uint8_t(top / 6), std::uint8_t(top / 4), std::uint8_t(top / 3),
                       std::uint8_t(i % 2 ? 255 : top / 2)});
  }

  std::span<const std::uint8_t> pixels(int i) const {
    return std::span(training.pixels).subspan(i * batch * training.image_size(), batch * training.image_size());
  }

  RepairNetwork make(const Repair& start = {}, bool shared_slope = false) const {
    return {problem, codes, start, shared_slope, 0.15, "cpu"};
  }

  /// Mean KD that the INT8 engine gives the student on the same images.
  double kd(const Repair& repair, int i = 0) const {
    Scorer scorer(problem, data, engine_factory(EngineKind::automatic, problem), 1, 2.0);
    ScoreRequest request{Split::search, batch, std::vector<std::uint32_t>(batch), {codes}, {repair}, {0}, {}};
    std::iota(request.images.begin(), request.images.end(), std::uint32_t(i * batch));
    return scorer.score(request, 0, request.items()).front().mean_kd();
  }
};

/// The numbers of the convolutions, fully connected layers among them.
std::vector<std::size_t> convolutions(const Network& network) {
  std::vector<std::size_t> result;
  for (std::size_t i = 0; i < network.nodes.size(); ++i)
    if (network.nodes[i].operation == Operation::convolution) result.push_back(i);
  return result;
}

void expect_the_distillation_of_the_int8_engine(const Fixture& f) {
  const RepairStep still{};
  EXPECT_GT(f.kd({}), 1e-3);
  EXPECT_NEAR(f.make().step(f.pixels(0), still), f.kd({}), 1e-5 * (1 + f.kd({})));

  RepairNetwork moved = f.make();
  for (int i = 0; i < 3; ++i) moved.step(f.pixels(i % 4), {.multiplier_rate = 0.02, .bias_rate = 0.5});
  const Repair repair = moved.repair();
  EXPECT_NE(f.kd(repair), f.kd({}));
  EXPECT_NEAR(f.make(repair).step(f.pixels(1), still), f.kd(repair, 1), 1e-5 * (1 + f.kd(repair, 1)));
}

TEST(RepairNetwork, ComputesTheDistillationOfTheInt8Engine) {
  for (Scheme scheme : {Scheme::fbgemm, Scheme::qnnpack})
    expect_the_distillation_of_the_int8_engine(Fixture("lenet5", scheme));
  expect_the_distillation_of_the_int8_engine(Fixture("alexnet", Scheme::fbgemm, 4));
}

TEST(RepairNetwork, ComputesTheDistillationOfBranchesAdditionsAndConcatenations) {
  expect_the_distillation_of_the_int8_engine(Fixture("resnet8", Scheme::fbgemm, 4));
  expect_the_distillation_of_the_int8_engine(Fixture("resnet8", Scheme::qnnpack, 4));
  expect_the_distillation_of_the_int8_engine(Fixture("squeezenet", Scheme::fbgemm, 4));
}

/// Random images of a network's input.
DataSet random_images(const Network& network, std::size_t count) {
  DataSet data;
  data.name = data.source = "random";
  data.classes = network.classes;
  testing::Random random(1);
  for (Images* images : {&data.train, &data.test}) {
    images->channels = network.input.channels;
    images->height = network.input.height;
    images->width = network.input.width;
    images->labels.assign(count, 0);
    for (std::size_t i = 0; i < count * network.input.size(); ++i)
      images->pixels.push_back(std::uint8_t(random.integer(0, 255)));
  }
  return data;
}

/// Graphs that no recipe makes: tables, constants, products, staircases behind any operation.
TEST(RepairNetwork, ComputesTheDistillationOfRandomGraphs) {
  set_training_threads(1);
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    const Network network = testing::random_graph(seed);
    const Problem problem =
        testing::random_problem(network, seed % 2 ? Scheme::fbgemm : Scheme::qnnpack, seed, {.varied = seed % 3 == 0});
    const std::vector<Codes> codes(problem.sites.size(), Codes{10, 20, 30, 40, 90});
    const DataSet data = random_images(network, 24);
    const PixelSet set = lay_out(network, data, Split::search);
    RepairNetwork repair(problem, codes, {}, false, 0.15, "cpu");
    Scorer scorer(problem, data, engine_factory(EngineKind::reference, problem), 1, 2.0);
    ScoreRequest request{Split::search, 16, std::vector<std::uint32_t>(16), {codes}, {}, {}, {}};
    std::iota(request.images.begin(), request.images.end(), 0u);
    const double kd = scorer.score(request, 0, request.items()).front().mean_kd();
    const auto pixels = std::span(set.pixels).first(16 * set.image_size());
    repair.observe(pixels);
    EXPECT_NEAR(repair.step(pixels, {.multiplier_rate = 0.01, .bias_rate = 0.2}), kd, 1e-5 * (1 + kd));
    const TrainingTensors tensors = repair.tensors();
    for (const auto& [name, values] : tensors)
      for (const float value : values) EXPECT_TRUE(std::isfinite(value)) << name;
  }
}

TEST(RepairNetwork, StepsLowerTheDistillation) {
  const Fixture f("lenet5", Scheme::fbgemm);
  for (bool one_slope : {false, true}) {
    RepairNetwork network = f.make({}, one_slope);
    for (int i = 0; i < 60; ++i) network.step(f.pixels(i % 4), {.multiplier_rate = 0.01, .bias_rate = 0.2});
    double before = 0, after = 0;
    for (int i = 0; i < 4; ++i) {
      before += f.kd({}, i);
      after += f.kd(network.repair(), i);
    }
    EXPECT_LT(after, 0.7 * before) << "one slope a layer: " << one_slope;
  }
}

TEST(RepairNetwork, WithoutAStepTheRepairIsWhereItStarted) {
  const Fixture f("lenet5", Scheme::fbgemm);
  const Repair own = f.make().repair();
  ASSERT_EQ(own.size(), f.model.nodes.size());
  for (const std::size_t i : convolutions(f.network)) EXPECT_EQ(own[i], f.model.nodes[i].requantization) << i;
  EXPECT_FALSE(own[1].has_value()) << "a maximum";

  Repair start(f.model.nodes.size());
  start[2] = f.model.nodes[2].requantization;
  for (float& m : start[2]->multiplier) m *= 1.25f;
  for (std::int32_t& b : start[2]->bias) b += 1000;
  EXPECT_EQ(f.make(start).repair()[2], start[2]);
  EXPECT_EQ(f.make(start).repair()[4], f.model.nodes[4].requantization);
}

TEST(RepairNetwork, LayersBeforeTheFirstSiteStayTheModels) {
  Fixture f("lenet5", Scheme::fbgemm);
  f.problem.sites = select_sites(f.model.network, "fc1,fc2");
  f.codes = {f.codes[2], f.codes[3]};
  RepairNetwork network = f.make();
  network.step(f.pixels(0), {.multiplier_rate = 0.01, .bias_rate = 0.2});
  const Repair repair = network.repair();
  EXPECT_FALSE(repair[0].has_value() || repair[2].has_value());
  for (std::size_t i = 4; i < repair.size(); ++i) EXPECT_NE(repair[i].value(), f.model.nodes[i].requantization) << i;
}

TEST(RepairNetwork, OneSlopeKeepsTheRatiosOfMultipliers) {
  const Fixture f("lenet5", Scheme::fbgemm);
  RepairNetwork network = f.make({}, true);
  for (int i = 0; i < 4; ++i) network.step(f.pixels(i), {.multiplier_rate = 0.01, .bias_rate = 0.2});
  const Repair repair = network.repair();
  for (const std::size_t l : convolutions(f.network)) {
    const Requantization &own = f.model.nodes[l].requantization, &fitted = repair[l].value();
    const float ratio = fitted.multiplier[0] / own.multiplier[0];
    EXPECT_NE(ratio, 1.0f);
    for (std::size_t c = 0; c < own.bias.size(); ++c)
      EXPECT_NEAR(fitted.multiplier[c] / own.multiplier[c], ratio, 1e-6 * ratio);
  }
}

TEST(RepairNetwork, GoesOnFromItsTensorsToTheSameBits) {
  const Fixture f("lenet5", Scheme::fbgemm);
  const RepairStep step{.multiplier_rate = 0.01, .bias_rate = 0.2};
  RepairNetwork whole = f.make();
  for (int i = 0; i < 4; ++i) whole.step(f.pixels(i), step);
  RepairNetwork first = f.make(), second = f.make();
  for (int i = 0; i < 2; ++i) first.step(f.pixels(i), step);
  second.set_tensors(first.tensors());
  for (int i = 2; i < 4; ++i) second.step(f.pixels(i), step);
  EXPECT_EQ(second.tensors(), whole.tensors());
  EXPECT_EQ(second.repair(), whole.repair());

  TrainingTensors broken = first.tensors();
  broken.erase("fc1.shift.square");
  EXPECT_THAT(error_of([&] { second.set_tensors(broken); }), HasSubstr("fc1.shift.square is missing"));
  broken = first.tensors();
  broken["conv2.slope"].pop_back();
  EXPECT_THAT(error_of([&] { second.set_tensors(broken); }), HasSubstr("conv2.slope has 15 values, expected 16"));
}

/// Every layer's slope, whose first step goes the way that lowers the distillation, as far as a difference of it shows.
TEST(RepairNetwork, GradientsPointDownhill) {
  const Fixture f("lenet5", Scheme::fbgemm);
  RepairNetwork network = f.make({}, true);
  network.step(f.pixels(0), {.multiplier_rate = 0.01, .bias_rate = 0});
  const Repair stepped = network.repair();
  int shown = 0;
  for (const std::size_t l : convolutions(f.network)) {
    const Requantization& own = f.model.nodes[l].requantization;
    const auto scaled = [&](float factor) {
      Repair repair(f.model.nodes.size());
      repair[l] = own;
      for (float& m : repair[l]->multiplier) m *= factor;
      return f.kd(repair);
    };
    const double slope = (scaled(1.1f) - scaled(1 / 1.1f)) / (2 * std::log(1.1));
    if (std::abs(slope) < 0.02) continue;
    ++shown;
    EXPECT_EQ(stepped[l]->multiplier[0]<own.multiplier[0], slope> 0) << f.network.nodes[l].name << " " << slope;
  }
  EXPECT_GE(shown, 3);
}

TEST(RepairNetwork, WhatPassesIsHeldAtWhatWasObserved) {
  Fixture f("lenet5", Scheme::fbgemm);
  for (Codes& codes : f.codes) codes = {1, 2, 2, 3, 50};  // so bad that passing through pays
  const auto passed = [&](const Repair& repair) {
    Scorer scorer(f.problem, f.data, engine_factory(EngineKind::automatic, f.problem), 1, 2.0);
    ScoreRequest request{Split::search, batch, std::vector<std::uint32_t>(4 * batch), {f.codes}, {repair}, {0}, {}};
    std::iota(request.images.begin(), request.images.end(), 0u);
    const auto histograms = scorer.histograms(request, 0, request.batches());
    std::uint64_t count = 0;
    for (std::size_t i = 0; i < histograms.size(); ++i)
      for (int q = f.codes[i].tmax + 1; q < 256; ++q) count += histograms[i].counts[q];
    return double(count);
  };
  const auto after = [&](bool held) {
    RepairNetwork network = f.make();
    for (int i = 0; held && i < 4; ++i) network.observe(f.pixels(i));
    for (int i = 0; i < 400; ++i) network.step(f.pixels(i % 4), {.multiplier_rate = 0.01, .bias_rate = 0.2});
    return passed(network.repair());
  };
  const double before = passed({});
  ASSERT_GT(before, 1000);
  EXPECT_GT(after(false), 1.3 * before) << "KD alone";
  EXPECT_LT(after(true), 1.1 * before);
}

TEST(RepairNetwork, ABiasThatIsNoneIsAnError) {
  const Fixture f("lenet5", Scheme::fbgemm);
  RepairNetwork network = f.make();
  TrainingTensors tensors = network.tensors();
  tensors["fc1.shift"][7] = 1e12f;
  network.set_tensors(tensors);
  EXPECT_THAT(error_of([&] { network.repair(); }), HasSubstr("layer fc1, channel 7"));
}

TEST(RepairNetwork, TheGradientOfAStaircaseIsThatOfItsSmoothedJumps) {
  const Codes codes{10, 20, 40, 60, 100};
  for (double smoothing : {0.0, 0.15, 0.3}) {
    const auto gradient = smoothed_gradient(codes, smoothing);
    double sum = 0;
    for (int q = 0; q <= 100; ++q) sum += gradient[q];
    // Half of the jump at tmax lies above it; the Gaussians are sampled at half codes, symmetric around every jump.
    EXPECT_NEAR(sum, 60 + 0.5 * 41, 1.7) << smoothing;
    EXPECT_NEAR(gradient[10], gradient[11], 0.02);
    EXPECT_GT(gradient[10], gradient[5]);
    EXPECT_NEAR(gradient[200], 1.0f, 1e-6) << "codes pass through";
  }
  const auto once = smoothed_gradient({10, 20, 10, 20, 255}, 0.15);  // t1 = t2: one jump
  EXPECT_NEAR(std::accumulate(once.begin(), once.end(), 0.0), 20, 0.5);
  EXPECT_LT(smoothed_gradient({10, 20, 40, 60, 255}, 0.15)[200], 1e-6f) << "nothing passes: a constant";
}

}  // namespace
}  // namespace triseg
