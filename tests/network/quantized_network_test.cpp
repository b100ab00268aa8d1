#include "network/quantized_network.hpp"

#include "core/philox.hpp"
#include "tests/error_of.hpp"
#include "network/recipes.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace triseg {
namespace {

using testing::HasSubstr;

/// A LeNet-5 of random weights that passes check().
QuantizedNetwork valid_network() {
  QuantizedNetwork n;
  n.network = make_recipe("lenet5").network;
  n.data = "shapes";
  n.mean = {0.5, 0.25, 0.75};
  n.standard_deviation = {0.5, 0.25, 1.0};
  CodeScale input{0.03, 114};
  for (std::size_t i = 0; i < n.network.layers.size(); ++i) {
    const Layer& shape = n.network.layers[i];
    QuantizedLayer layer;
    for (int k = 0; k < shape.out_channels * shape.fan_in(); ++k)
      layer.weights.push_back(static_cast<std::int8_t>(int(uniform_below(255, 3, Stream::self_test, k, i)) - 127));
    layer.input = input;
    layer.output = {0.04 + 0.01 * double(i), shape.relu ? 0 : 120};
    for (int c = 0; c < shape.out_channels; ++c) {
      layer.weight_scale.push_back(0.001 + 0.0001 * c);
      layer.requantization.bias.push_back(100 * c - 300);
      layer.requantization.multiplier.push_back(
          static_cast<float>(layer.input.scale * layer.weight_scale[c] / layer.output.scale));
    }
    input = layer.output;
    n.layers.push_back(layer);
  }
  return n;
}

TEST(Scheme, NamesAndRanges) {
  EXPECT_EQ(parse_scheme("fbgemm"), Scheme::fbgemm);
  EXPECT_EQ(parse_scheme("qnnpack"), Scheme::qnnpack);
  for (Scheme scheme : {Scheme::fbgemm, Scheme::qnnpack}) EXPECT_EQ(parse_scheme(scheme_name(scheme)), scheme);
  EXPECT_EQ(activation_range(Scheme::fbgemm), 127);
  EXPECT_EQ(activation_range(Scheme::qnnpack), 255);
  EXPECT_THAT(error_of([] { parse_scheme("x86"); }), HasSubstr("unknown backend 'x86': expected fbgemm or qnnpack"));
}

TEST(InputCodes, RoundHalfToEven) {
  // mean 0, deviation 2/255, scale 1: x / s = pixel / 2, in float32 exactly or nearly so.
  QuantizedNetwork n = valid_network();
  n.mean = {0, 0, 0};
  n.standard_deviation = {1.0 / 255.0, 1, 1};
  n.layers[0].input = {2.0, 10};
  const auto codes = input_codes(n, 0);
  int ties = 0;
  for (int pixel = 0; pixel < 256; ++pixel) {
    const float x = float(pixel) / 255.0f / float(1.0 / 255.0);
    if (x != float(pixel)) continue;  // not a tie after rounding to float32
    const int half = pixel / 2, even = pixel % 2 == 0 ? half : half + half % 2;
    EXPECT_EQ(codes[pixel], 10 + even) << "pixel " << pixel;
    ties += pixel % 2;
  }
  EXPECT_GT(ties, 20);
}

TEST(InputCodes, ClampToTheByteAndUseTheirOwnChannel) {
  QuantizedNetwork n = valid_network();
  n.layers[0].input = {0.001, 100};
  const auto codes = input_codes(n, 0);
  EXPECT_EQ(codes[0], 0);      // x = -1
  EXPECT_EQ(codes[255], 255);  // x = +1
  EXPECT_TRUE(std::is_sorted(codes.begin(), codes.end()));
  n.layers[0].input = {0.03, 114};
  for (int channel = 0; channel < 3; ++channel) {
    const auto table = input_codes(n, channel);
    for (int pixel = 0; pixel < 256; ++pixel) {
      const double x = (pixel / 255.0 - n.mean[channel]) / n.standard_deviation[channel];
      const double q = std::clamp(x / 0.03 + 114, 0.0, 255.0);
      EXPECT_NEAR(table[pixel], q, 0.5001) << "channel " << channel << ", pixel " << pixel;
    }
  }
}

TEST(LowestCode, IsTheZeroPointBehindAReluOnly) {
  QuantizedNetwork n = valid_network();
  EXPECT_EQ(lowest_code(n.network.layers.front(), n.layers.front()), 0);
  EXPECT_EQ(lowest_code(n.network.layers.back(), n.layers.back()), 0);
  n.layers.front().output.zero_point = 9;
  EXPECT_EQ(lowest_code(n.network.layers.front(), n.layers.front()), 9);
}

/// The largest |partial sum| of any channel when codes 0 and 255 are chosen against it: with the zero point taken from
/// every code (start = bias), or folded into the bias.
std::int64_t brute_bound(const QuantizedLayer& layer, bool folded) {
  const std::size_t channels = layer.requantization.bias.size(), fan_in = layer.weights.size() / channels;
  std::int64_t worst = 0;
  for (std::size_t c = 0; c < channels; ++c) {
    const int z = layer.input.zero_point;
    std::int64_t start = layer.requantization.bias[c], up = 0, down = 0;
    for (std::size_t i = 0; i < fan_in; ++i) {
      const std::int64_t w = layer.weights[c * fan_in + i];
      if (folded) start -= z * w;
      const std::int64_t low = folded ? 0 : -z, high = folded ? 255 : 255 - z;
      up += std::max(low * w, high * w);
      down += std::min(low * w, high * w);
    }
    worst = std::max({worst, std::abs(start), std::abs(start + up), std::abs(start + down)});
  }
  return worst;
}

TEST(AccumulatorBound, HoldsForTheWorstCodes) {
  for (int trial = 0; trial < 200; ++trial) {
    QuantizedLayer layer;
    auto draw = [&, k = 0](int below) mutable { return int(uniform_below(below, 11, Stream::self_test, trial, k++)); };
    const int channels = 1 + trial % 3, fan_in = 1 + trial % 17;
    layer.input.zero_point = trial % 2 ? draw(256) : 0;
    for (int k = 0; k < channels * fan_in; ++k) layer.weights.push_back(static_cast<std::int8_t>(draw(256) - 128));
    for (int c = 0; c < channels; ++c) layer.requantization.bias.push_back(draw(20001) - 10000);
    const std::int64_t bound = accumulator_bound(layer);
    EXPECT_GE(bound, brute_bound(layer, true));
    EXPECT_GE(bound, brute_bound(layer, false));
  }
}

TEST(AccumulatorBound, IsTheFormulaWithoutAZeroPoint) {
  QuantizedLayer layer;
  layer.weights = {1, -2, 3, /**/ -128, -128, 127};
  layer.requantization.bias = {-50, 7};
  EXPECT_EQ(accumulator_bound(layer), 255 * 256 + 7);
  layer.requantization.bias = {-2'147'483'647 - 1, 0};
  EXPECT_EQ(accumulator_bound(layer), 255 * 4 + 2'147'483'648);
}

TEST(Check, AcceptsAValidNetwork) { EXPECT_NO_THROW(check(valid_network())); }

TEST(Check, NamesLayerAndField) {
  const auto text = [](auto&& damage) {
    QuantizedNetwork n = valid_network();
    damage(n);
    return error_of([&] { check(n); });
  };
  EXPECT_THAT(text([](auto& n) { n.layers.pop_back(); }), HasSubstr("lenet5: 4 layers of weights for 5 layers"));
  EXPECT_THAT(text([](auto& n) { n.mean.pop_back(); }), HasSubstr("normalization"));
  EXPECT_THAT(text([](auto& n) { n.standard_deviation[1] = 0; }), HasSubstr("normalization"));
  EXPECT_THAT(text([](auto& n) { n.mean[1] = std::nan(""); }), HasSubstr("normalization"));
  EXPECT_THAT(text([](auto& n) { n.layers[1].weights.pop_back(); }), HasSubstr("layer conv2: expected 16 x 150 weights, found 2399"));
  EXPECT_THAT(text([](auto& n) { n.layers[2].weight_scale.pop_back(); }), HasSubstr("layer fc1: expected 120 weight scales"));
  EXPECT_THAT(text([](auto& n) { n.layers[2].requantization.bias.push_back(0); }), HasSubstr("layer fc1: expected 120"));
  EXPECT_THAT(text([](auto& n) { n.layers[2].requantization.multiplier.clear(); }), HasSubstr("layer fc1: expected 120"));
  EXPECT_THAT(text([](auto& n) { n.layers[3].output.scale = -1; }), HasSubstr("layer fc2: expected positive input and output scales"));
  EXPECT_THAT(text([](auto& n) { n.layers[0].input.scale = std::numeric_limits<double>::infinity(); }), HasSubstr("layer conv1"));
  EXPECT_THAT(text([](auto& n) { n.layers[0].input.zero_point = 256; }), HasSubstr("layer conv1: expected zero points in 0..255"));
  EXPECT_THAT(text([](auto& n) { n.layers[4].output.zero_point = -1; }), HasSubstr("layer fc3: expected zero points in 0..255"));
  EXPECT_THAT(text([](auto& n) { n.layers[1].output.zero_point = 1; }), HasSubstr("layer conv2: a ReLU output must have zero point 0"));
  EXPECT_THAT(text([](auto& n) { n.layers[2].input.scale *= 2; }), HasSubstr("layer fc1: its input scale differs"));
  EXPECT_THAT(text([](auto& n) { n.layers[2].input.zero_point = 3; }), HasSubstr("layer fc1: its input scale differs"));
  EXPECT_THAT(text([](auto& n) { n.layers[0].weight_scale[3] = 0; }), HasSubstr("layer conv1: weight scale of channel 3"));
  EXPECT_THAT(text([](auto& n) { n.layers[0].requantization.multiplier[5] *= 1.0000002f; }), HasSubstr("layer conv1: multiplier of channel 5"));
  EXPECT_THAT(text([](auto& n) { n.layers[0].requantization.multiplier[5] = std::nanf(""); }), HasSubstr("multiplier of channel 5"));
  EXPECT_THAT(text([](auto& n) {
                n.layers[0].weight_scale[2] = 1e-60;
                n.layers[0].requantization.multiplier[2] = 0;
              }),
              HasSubstr("layer conv1: multiplier of channel 2 is not positive and finite"));
}

}  // namespace
}  // namespace triseg
