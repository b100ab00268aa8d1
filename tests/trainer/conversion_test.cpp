#include "trainer/conversion.hpp"

#include "tests/core/error_of.hpp"
#include "trainer/batches.hpp"
#include "trainer/trainable_network.hpp"
#include "tests/trainer/small_shapes.hpp"
#include "worker/reference_engine.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <numeric>
#include <set>

namespace triseg {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Conversion, WeightScalesPerChannelOrPerLayer) {
  const std::vector<float> weights = {1, -2, 4, 3, 0, 0};  // three channels
  EXPECT_THAT(weight_scales(Scheme::fbgemm, weights, 3), ElementsAre(2 / 127.0f, 4 / 127.0f, 4 / 1024.0f / 127.0f));
  EXPECT_THAT(weight_scales(Scheme::qnnpack, weights, 3), ElementsAre(4 / 127.0f, 4 / 127.0f, 4 / 127.0f));
}

TEST(Conversion, ActivationScales) {
  EXPECT_DOUBLE_EQ(relu_scale(Scheme::fbgemm, 12.7).scale, 0.1);
  EXPECT_DOUBLE_EQ(relu_scale(Scheme::qnnpack, 25.5).scale, 0.1);
  EXPECT_EQ(relu_scale(Scheme::fbgemm, 12.7).zero_point, 0);
  EXPECT_GT(relu_scale(Scheme::fbgemm, 0).scale, 0);
  const CodeScale affine = affine_scale(Scheme::fbgemm, -4.0, 8.7);
  EXPECT_DOUBLE_EQ(affine.scale, 0.1);
  EXPECT_EQ(affine.zero_point, 40);
  EXPECT_EQ(affine_scale(Scheme::fbgemm, 1.0, 12.7).zero_point, 0);  // widened to hold 0
  const CodeScale pixels = pixel_scale(Scheme::qnnpack, std::vector<double>{0.25, 0.5}, std::vector<double>{0.5, 0.25});
  EXPECT_DOUBLE_EQ(pixels.scale, 4.0 / 255);  // from (0 - 0.5) / 0.25 to (1 - 0.5) / 0.25
  EXPECT_EQ(pixels.zero_point, 128);
}

TrainedNetwork constant_network(const Network& network, float weight, float bias) {
  TrainedNetwork trained;
  trained.mean = trained.standard_deviation = {0.5, 0.5, 0.5};
  trained.input = {0.25, 3};
  for (const Layer& shape : network.layers)
    trained.layers.push_back({std::vector<float>(shape.out_channels * shape.fan_in(), weight),
                              std::vector<float>(shape.out_channels, bias), {0.5, 0}});
  return trained;
}

TEST(Conversion, WeightsBiasesAndMultipliers) {
  const Network network = make_network("lenet5");
  TrainedNetwork trained = constant_network(network, 1.27f, 0.1f);
  trained.layers[0].weights[1] = -0.034f;
  const QuantizedNetwork result = convert(network, Scheme::fbgemm, "shapes", trained);
  const QuantizedLayer& first = result.layers[0];
  EXPECT_NEAR(first.weight_scale[0], 0.01, 1e-8);
  EXPECT_EQ(first.weights[0], 127);
  EXPECT_EQ(first.weights[1], -3);
  EXPECT_EQ(first.requantization.bias[0], 40);  // 0.1 / (0.25 * 0.01)
  EXPECT_EQ(first.requantization.multiplier[0], float(0.25 * first.weight_scale[0] / 0.5));
  EXPECT_EQ(result.layers[1].input.scale, 0.5);
  EXPECT_EQ(result.data, "shapes");
}

TEST(Conversion, BiasBeyond32BitsIsAnError) {
  const Network network = make_network("lenet5");
  const std::string text = error_of([&] { convert(network, Scheme::fbgemm, "shapes", constant_network(network, 1e-6f, 1e9f)); });
  EXPECT_THAT(text, HasSubstr("conv1"));
}

struct Comparison {
  std::string model;
  Scheme scheme;
  int images;
  double learning_rate;
  int largest_difference;  ///< of two logit codes
  double equal;            ///< least share of equal logit codes
};

/// Logit codes of the reference engine and of fake quantization, both of one network after some training steps. Biases
/// and products round differently: now and then a code differs by one, and a network with little training amplifies it.
void compare_with_fake_quantization(const Comparison& c) {
  set_training_threads(1);
  const DataSet data = small_shapes(600, 60);
  const Network network = make_network(c.model);
  const PixelSet training = lay_out(network, data, Split::search), test = lay_out(network, data, Split::test);
  const PixelStatistics statistics = pixel_statistics(training);
  TrainableNetwork trainable(network, c.scheme, statistics.mean, statistics.standard_deviation, 1, "cpu");
  trainable.seed_dropout(1);
  const auto batch = [&](int i, int n) { return std::span(training.pixels).subspan(i * n * training.image_size(), n * training.image_size()); };
  for (int i = 0; i < 10; ++i)
    trainable.step(batch(i, 16), std::span(training.labels).subspan(i * 16, 16), {.learning_rate = c.learning_rate});
  trainable.fold();
  trainable.calibrate(batch(0, 64));
  trainable.calibrate(batch(1, 64));
  for (int i = 10; i < 14; ++i)
    trainable.step(batch(i, 16), std::span(training.labels).subspan(i * 16, 16), {.learning_rate = 1e-5});

  const QuantizedNetwork quantized = convert(network, c.scheme, data.name, trainable.trained());
  std::vector<std::uint32_t> indices(c.images);
  std::iota(indices.begin(), indices.end(), 0);
  std::vector<std::uint8_t> codes(c.images * network.input_size());
  quantize_images(quantized, data.test, indices, codes);
  const auto engine = make_reference_engine(quantized);
  engine->load_images(codes, c.images);
  const std::vector<Student> students = {teacher(network)};
  std::vector<ForwardResult> results(1);
  engine->forward(students, results);

  const auto logits = trainable.logits(std::span(test.pixels).first(codes.size()));
  ASSERT_EQ(logits.size(), results[0].logit_codes.size());
  int equal = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const int fake = int(std::nearbyint(logits[i] / quantized.logits().scale)) + quantized.logits().zero_point;
    EXPECT_NEAR(fake, results[0].logit_codes[i], c.largest_difference) << "image " << i / network.classes << ", class " << i % network.classes;
    equal += fake == results[0].logit_codes[i];
  }
  EXPECT_GE(equal, c.equal * double(logits.size()));
  EXPECT_GT(std::set<int>(results[0].logit_codes.begin(), results[0].logit_codes.end()).size(), 10u);
}

TEST(Conversion, Int8MatchesFakeQuantization) {
  compare_with_fake_quantization({"lenet5", Scheme::fbgemm, 50, 0.002, 2, 0.8});
  compare_with_fake_quantization({"lenet5", Scheme::qnnpack, 50, 0.002, 2, 0.8});
}

TEST(Conversion, Int8MatchesFakeQuantizationBehindBatchNorm) {
  compare_with_fake_quantization({"alexnet", Scheme::fbgemm, 4, 0.02, 4, 0.5});
}

}  // namespace
}  // namespace triseg
