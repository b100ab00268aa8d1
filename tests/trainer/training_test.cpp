#include "trainer/training.hpp"

#include "core/error.hpp"
#include "network/recipe_file.hpp"
#include "tests/error_of.hpp"
#include "tests/trainer/small_shapes.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

namespace triseg {
namespace {

using testing::HasSubstr;

TrainingOptions quick() {
  TrainingOptions options;
  options.epochs = 3;
  options.qat_epochs = 2;
  options.batch_size = 32;
  options.learning_rate = 0.03;
  options.threads = 1;
  options.device = "cpu";
  return options;
}

bool equal(const QuantizedNetwork& a, const QuantizedNetwork& b) {
  if (a.mean != b.mean || a.standard_deviation != b.standard_deviation || a.nodes.size() != b.nodes.size())
    return false;
  for (std::size_t i = 0; i < a.nodes.size(); ++i) {
    const QuantizedNode &x = a.nodes[i], &y = b.nodes[i];
    if (x.weights != y.weights || x.weight_scale != y.weight_scale || x.requantization.bias != y.requantization.bias ||
        x.requantization.multiplier != y.requantization.multiplier || x.output.scale != y.output.scale ||
        x.output.zero_point != y.output.zero_point)
      return false;
  }
  return true;
}

TEST(Training, LearnsShapes) {
  const auto folder = scratch_folder("learns");
  const DataSet data = small_shapes(6000, 500);
  const TrainingResult result = train(make_recipe("lenet5"), data, quick(), folder / "c", {}).value();
  ASSERT_EQ(result.checkpoint.history.size(), 5u);
  EXPECT_LT(result.checkpoint.history[2].loss, 0.6 * result.checkpoint.history[0].loss);
  EXPECT_GT(result.checkpoint.float_validation_accuracy, 60.0);  // chance is 10
  EXPECT_GT(result.checkpoint.history.back().validation_accuracy, result.checkpoint.float_validation_accuracy - 5.0);
  EXPECT_GE(result.checkpoint.best_epoch, 4);
  EXPECT_EQ(result.network.data, "shapes");
  std::filesystem::remove_all(folder);
}

TEST(Training, InterruptedRunsEndLikeUninterruptedOnes) {
  const auto folder = scratch_folder("resume");
  const DataSet data = small_shapes(1200, 100);
  const Recipe recipe = make_recipe("lenet5");
  const TrainingResult whole = train(recipe, data, quick(), folder / "whole", {}).value();

  struct Stop {};
  int runs = 0, steps = 0;
  for (bool finished = false; !finished; ++runs) {
    // Stops in the middle of an epoch, a little later each time.
    int left = 40 + 3 * runs;
    try {
      const TrainingResult parts = train(recipe, data, quick(), folder / "parts",
                                         {[&](const TrainingProgress&) {
                                            ++steps;
                                            if (--left == 0) throw Stop();
                                          },
                                          {}})
                                       .value();
      EXPECT_TRUE(equal(whole.network, parts.network));
      EXPECT_EQ(whole.checkpoint.tensors, parts.checkpoint.tensors);
      EXPECT_EQ(whole.checkpoint.history.back().loss, parts.checkpoint.history.back().loss);
      EXPECT_EQ(whole.checkpoint.best_epoch, parts.checkpoint.best_epoch);
      finished = true;
    } catch (const Stop&) {}
    ASSERT_LT(runs, 20);
  }
  EXPECT_GE(runs, 4);

  // A finished run takes no further step.
  steps = 0;
  const TrainingResult again =
      train(recipe, data, quick(), folder / "parts", {[&](const TrainingProgress&) { ++steps; }, {}}).value();
  EXPECT_EQ(steps, 0);
  EXPECT_TRUE(equal(whole.network, again.network));
  std::filesystem::remove_all(folder);
}

TEST(Training, AnotherSeedGivesAnotherNetwork) {
  const auto folder = scratch_folder("seeds");
  const DataSet data = small_shapes(600, 100);
  const Recipe recipe = make_recipe("lenet5");
  TrainingOptions options = quick();
  options.epochs = 1;
  options.qat_epochs = 0;
  const TrainingResult first = train(recipe, data, options, folder / "1", {}).value();
  options.seed = 2;
  const TrainingResult second = train(recipe, data, options, folder / "2", {}).value();
  EXPECT_FALSE(equal(first.network, second.network));
  std::filesystem::remove_all(folder);
}

TEST(Training, NormalizesNoBatchOfOneValue) {
  const auto folder = scratch_folder("one_value");
  const DataSet data = small_shapes(60, 10);
  const Recipe recipe = parse_recipe(
      "name = \"bn\"\ninput = [3, 32, 32]\nnodes = [{name = \"c\", op = \"fc\", channels = 8, batch_norm = true, "
      "relu = true}, {name = \"f\", op = \"fc\", channels = \"classes\"}]\n",
      "here");
  TrainingOptions options = quick();
  options.epochs = 1;
  options.qat_epochs = 0;
  options.batch_size = static_cast<int>(data.split_size(Split::search)) - 1;
  options.learning_rate = 1e-4;
  EXPECT_TRUE(train(recipe, data, options, folder / "c", {}).has_value());
  std::filesystem::remove_all(folder);
}

TEST(Training, CheckpointOfAnotherConfigurationIsRefused) {
  const auto folder = scratch_folder("configuration");
  const DataSet data = small_shapes(600, 100);
  const Recipe recipe = make_recipe("lenet5");
  TrainingOptions options = quick();
  options.epochs = 1;
  options.qat_epochs = 0;
  train(recipe, data, options, folder / "c", {});
  options.learning_rate = 0.01;
  EXPECT_THAT(error_of([&] { train(recipe, data, options, folder / "c", {}); }),
              HasSubstr("another configuration: --lr (0.03 instead of 0.01); remove it"));
  std::filesystem::remove_all(folder);
}

/// Whatever their folder is called.
TEST(Training, CheckpointOfOtherDataIsRefused) {
  const auto folder = scratch_folder("other_data");
  DataSet data = small_shapes(600, 100);
  const Recipe recipe = make_recipe("lenet5");
  TrainingOptions options = quick();
  options.epochs = 1;
  options.qat_epochs = 0;
  train(recipe, data, options, folder / "c", {});
  data.name = "renamed";
  int steps = 0;
  EXPECT_TRUE(train(recipe, data, options, folder / "c", {[&](const TrainingProgress&) { ++steps; }}).has_value());
  EXPECT_EQ(steps, 0);
  data.train.labels[0] ^= 1;
  data.sha256 = content_sha256(data);
  EXPECT_THAT(error_of([&] { train(recipe, data, options, folder / "c", {}); }),
              HasSubstr("another configuration: --data (other images or labels); remove it"));

  // Checkpoints once had the name in the digest's place.
  TrainingCheckpoint old = load_checkpoint(folder / "c").value();
  const auto line = old.configuration.find("data_sha256 = ");
  old.configuration.replace(line, old.configuration.find('\n', line) - line, "data = renamed");
  save_checkpoint(folder / "c", old);
  EXPECT_THAT(error_of([&] { train(recipe, data, options, folder / "c", {}); }),
              HasSubstr("--data (no digest there); remove it"));
  std::filesystem::remove_all(folder);
}

/// Ends a training of `options` that dies: its error. It must leave no checkpoint, also of the epochs before.
std::string death_of(const TrainingOptions& options) {
  const auto folder = scratch_folder("death");
  const std::string error =
      error_of([&] { train(make_recipe("lenet5"), small_shapes(600, 50), options, folder / "c", {}); });
  EXPECT_FALSE(std::filesystem::exists(folder / "c"));
  std::filesystem::remove_all(folder);
  return error;
}

TEST(Training, DivergenceIsAnError) {
  TrainingOptions options = quick();
  options.learning_rate = 1e6;
  EXPECT_THAT(death_of(options),
              testing::MatchesRegex("training died in epoch 1: .*; choose a smaller --lr \\(found 1000000\\)"));
}

TEST(Training, ALayerThatGivesNothingIsNamedInItsEpoch) {
  TrainingOptions options = quick();
  options.learning_rate = 5;
  options.momentum = 0.5;
  EXPECT_THAT(death_of(options),
              testing::MatchesRegex("training died in epoch [123]: layer (conv|fc)[123] gives 0 for every image of the "
                                    "validation split; choose a smaller --lr \\(found 5\\)"));
}

TEST(Training, TheRateOfTheDeadPhaseIsNamed) {
  TrainingOptions options = quick();
  options.epochs = 1;
  options.qat_learning_rate = 1e4;
  EXPECT_THAT(death_of(options),
              testing::MatchesRegex("training died in epoch [23]: .*; choose a smaller --qat-lr \\(found 10000\\)"));
}

TEST(Training, StoppedRunsEndLikeUninterruptedOnes) {
  const auto folder = scratch_folder("stop");
  const DataSet data = small_shapes(600, 100);
  const Recipe recipe = make_recipe("lenet5");
  const int steps_an_epoch = 16;
  const TrainingResult whole = train(recipe, data, quick(), folder / "whole", {}).value();
  // In the middle of an epoch the last checkpoint stands; at an epoch's last step its own is written first.
  for (const auto& [at, epochs] : {std::pair(steps_an_epoch / 2, 0), {steps_an_epoch, 1}, {4 * steps_an_epoch, 4}}) {
    int steps = 0;
    TrainingListener listener;
    listener.progress = [&](const TrainingProgress&) { ++steps; };
    listener.stop = [&, at = at] { return steps >= at; };
    EXPECT_FALSE(train(recipe, data, quick(), folder / "parts", listener).has_value());
    EXPECT_EQ(steps, at);
    const auto checkpoint = load_checkpoint(folder / "parts");
    EXPECT_EQ(checkpoint ? checkpoint->history.size() : 0, epochs);
    const TrainingResult parts = train(recipe, data, quick(), folder / "parts", {}).value();
    EXPECT_TRUE(equal(whole.network, parts.network));
    EXPECT_EQ(whole.checkpoint.tensors, parts.checkpoint.tensors);
    std::filesystem::remove(folder / "parts");
  }
  std::filesystem::remove_all(folder);
}

TEST(Training, ShiftsOutOfTheInputAreNamed) {
  const DataSet data = small_shapes(600, 50);
  TrainingOptions options = quick();
  options.augmentation.shift = 31;
  check(options, make_recipe("lenet5").network, data);
  for (const int shift : {32, 33}) {
    options.augmentation.shift = shift;
    EXPECT_THAT(error_of([&] { check(options, make_recipe("lenet5").network, data); }),
                HasSubstr("--shift " + std::to_string(shift) + ": expected at most 31, for LeNet-5 takes"));
  }
}

TEST(Training, OptionsOutOfRangeAreNamed) {
  const auto message = [](auto change) {
    TrainingOptions options;
    change(options);
    return error_of([&] { check(options); });
  };
  check(TrainingOptions());
  EXPECT_THAT(message([](auto& o) { o.epochs = 0; }), HasSubstr("--epochs"));
  EXPECT_THAT(message([](auto& o) { o.qat_epochs = -1; }), HasSubstr("--qat-epochs"));
  EXPECT_THAT(message([](auto& o) { o.batch_size = 0; }), HasSubstr("--batch-size"));
  EXPECT_THAT(message([](auto& o) { o.learning_rate = 0; }), HasSubstr("--lr"));
  EXPECT_THAT(message([](auto& o) { o.learning_rate = std::numeric_limits<double>::quiet_NaN(); }), HasSubstr("--lr"));
  EXPECT_THAT(message([](auto& o) { o.qat_learning_rate = -1; }), HasSubstr("--qat-lr"));
  EXPECT_THAT(message([](auto& o) { o.momentum = 1; }), HasSubstr("--momentum"));
  EXPECT_THAT(message([](auto& o) { o.weight_decay = -1; }), HasSubstr("--weight-decay"));
  EXPECT_THAT(message([](auto& o) { o.augmentation.shift = -1; }), HasSubstr("--shift"));
  EXPECT_THAT(message([](auto& o) { o.threads = -1; }), HasSubstr("--threads"));
}

}  // namespace
}  // namespace triseg
