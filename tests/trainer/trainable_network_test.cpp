#include "trainer/trainable_network.hpp"

#include "tests/error_of.hpp"
#include "tests/trainer/small_shapes.hpp"
#include "trainer/batches.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>

namespace triseg {
namespace {

using testing::HasSubstr;

struct Fixture {
  DataSet data = small_shapes(600, 40);
  Recipe recipe;
  Network network;
  PixelSet training;
  PixelStatistics statistics;

  explicit Fixture(const std::string& model) : recipe(make_recipe(model)), network(recipe.network) {
    set_training_threads(1);
    training = lay_out(network, data, Split::search);
    statistics = pixel_statistics(training);
  }
  TrainableNetwork make(std::uint64_t seed, Scheme scheme = Scheme::fbgemm, const std::string& device = "cpu") const {
    return {recipe, scheme, statistics.mean, statistics.standard_deviation, seed, device};
  }
  std::span<const std::uint8_t> pixels(int batch) const {
    return std::span(training.pixels).subspan(batch * 32 * training.image_size(), 32 * training.image_size());
  }
  std::span<const std::uint16_t> labels(int batch) const { return std::span(training.labels).subspan(batch * 32, 32); }
};

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double result = 0;
  for (std::size_t i = 0; i < a.size(); ++i) result = std::max(result, double(std::abs(a[i] - b[i])));
  return result;
}

TEST(TrainableNetwork, FoldingBatchNormKeepsTheLogits) {
  const Fixture f("alexnet");
  TrainableNetwork network = f.make(1);
  for (int i = 0; i < 5; ++i) network.step(f.pixels(i), f.labels(i), {.learning_rate = 0.02});
  const auto before = network.logits(f.pixels(6));
  network.fold();
  network.calibrate(f.pixels(0));
  // Folded inputs are input codes; what remains beside that is rounding.
  const auto after = network.logits(f.pixels(6), false);
  double largest = 0;
  for (const float x : before) largest = std::max(largest, double(std::abs(x)));
  EXPECT_GT(largest, 0.1);
  EXPECT_LT(largest_difference(before, after), 0.05 * largest);
  const auto quantized = network.logits(f.pixels(6));
  EXPECT_GT(largest_difference(after, quantized), 0.0);
  EXPECT_LT(largest_difference(after, quantized), 0.3 * largest);
}

TEST(TrainableNetwork, FoldIsExactForAnyRunningStatistics) {
  const Fixture f("alexnet");
  TrainableNetwork network = f.make(1);
  TrainingTensors tensors = network.tensors();
  for (auto& [name, values] : tensors)
    for (std::size_t i = 0; i < values.size(); ++i) {
      const float wave = std::sin(float(i) * 0.7f);
      if (name.ends_with("norm_mean") || name.ends_with("norm_bias")) values[i] = 0.3f * wave;
      if (name.ends_with("norm_variance") || name.ends_with("norm_weight")) values[i] = 1.0f + 0.5f * wave;
    }
  network.set_tensors(tensors);
  const TrainingTensors unfolded = network.tensors();
  network.fold();
  const TrainingTensors folded = network.tensors();
  EXPECT_EQ(folded.count("conv2.norm_weight"), 0u);
  const std::size_t fan_in = f.network.fan_in(f.network.nodes[2]);
  for (int c : {0, 7, 191}) {
    const double gain = unfolded.at("conv2.norm_weight")[c] / std::sqrt(unfolded.at("conv2.norm_variance")[c] + 1e-5);
    EXPECT_NEAR(folded.at("conv2.weight")[c * fan_in + 3], gain * unfolded.at("conv2.weight")[c * fan_in + 3], 1e-6);
    EXPECT_NEAR(folded.at("conv2.bias")[c],
                unfolded.at("conv2.norm_bias")[c] - gain * unfolded.at("conv2.norm_mean")[c], 1e-6);
  }
}

TEST(TrainableNetwork, InitialWeightsDependOnTheSeedAlone) {
  const Fixture f("lenet5");
  EXPECT_EQ(f.make(3).tensors(), f.make(3).tensors());
  EXPECT_NE(f.make(3).tensors(), f.make(4).tensors());
}

TEST(TrainableNetwork, TensorsRestoreTheNextStepBitForBit) {
  const Fixture f("alexnet");
  for (const bool folded : {false, true}) {
    TrainableNetwork network = f.make(1);
    network.step(f.pixels(0), f.labels(0), {.learning_rate = 0.01});
    if (folded) {
      network.fold();
      network.calibrate(f.pixels(0));
    }
    network.step(f.pixels(1), f.labels(1), {.learning_rate = 0.01});
    TrainableNetwork other = f.make(2);
    if (folded) other.fold();
    other.set_tensors(network.tensors());
    EXPECT_EQ(network.tensors(), other.tensors());
    for (TrainableNetwork* n : {&network, &other}) {
      n->seed_dropout(5);
      n->step(f.pixels(2), f.labels(2), {.learning_rate = 0.01});
    }
    EXPECT_EQ(network.tensors(), other.tensors());
  }
}

TEST(TrainableNetwork, RangesFollowOnlyWhenObserved) {
  const Fixture f("lenet5");
  TrainableNetwork network = f.make(1);
  network.fold();
  network.calibrate(f.pixels(0));
  const auto before = network.tensors().at("conv1.range");
  EXPECT_EQ(before[0], 0.0f);
  EXPECT_GT(before[1], 0.0f);
  network.step(f.pixels(1), f.labels(1), {.learning_rate = 0.001, .observe = false});
  EXPECT_EQ(network.tensors().at("conv1.range"), before);
  network.step(f.pixels(2), f.labels(2), {.learning_rate = 0.001, .observe = true});
  EXPECT_NE(network.tensors().at("conv1.range"), before);
}

TEST(TrainableNetwork, Errors) {
  const Fixture f("lenet5");
  TrainableNetwork network = f.make(1);
  EXPECT_THAT(error_of([&] { network.trained(); }), HasSubstr("folded"));
  TrainingTensors tensors = network.tensors();
  tensors.erase("fc1.weight");
  EXPECT_THAT(error_of([&] { network.set_tensors(tensors); }), HasSubstr("fc1.weight"));
  tensors = network.tensors();
  tensors["conv2.bias"].pop_back();
  EXPECT_THAT(error_of([&] { network.set_tensors(tensors); }), HasSubstr("conv2.bias"));
  EXPECT_THAT(error_of([&] { f.make(1, Scheme::fbgemm, "abacus"); }), HasSubstr("abacus"));
}

}  // namespace
}  // namespace triseg
