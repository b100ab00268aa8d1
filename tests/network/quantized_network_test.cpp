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
  EXPECT_THAT(text([](auto& n) { n.layers[1].weights.pop_back(); }),
              HasSubstr("layer conv2: expected 16 x 150 weights, found 2399"));
  EXPECT_THAT(text([](auto& n) { n.layers[2].weight_scale.pop_back(); }),
              HasSubstr("layer fc1: expected 120 weight scales"));
  EXPECT_THAT(text([](auto& n) { n.layers[2].requantization.bias.push_back(0); }),
              HasSubstr("layer fc1: expected 120"));
  EXPECT_THAT(text([](auto& n) { n.layers[2].requantization.multiplier.clear(); }),
              HasSubstr("layer fc1: expected 120"));
  EXPECT_THAT(text([](auto& n) { n.layers[3].output.scale = -1; }),
              HasSubstr("layer fc2: expected positive input and output scales"));
  EXPECT_THAT(text([](auto& n) { n.layers[0].input.scale = std::numeric_limits<double>::infinity(); }),
              HasSubstr("layer conv1"));
  EXPECT_THAT(text([](auto& n) { n.layers[0].input.zero_point = 256; }),
              HasSubstr("layer conv1: expected zero points in 0..255"));
  EXPECT_THAT(text([](auto& n) { n.layers[4].output.zero_point = -1; }),
              HasSubstr("layer fc3: expected zero points in 0..255"));
  EXPECT_THAT(text([](auto& n) { n.layers[1].output.zero_point = 1; }),
              HasSubstr("layer conv2: a ReLU output must have zero point 0"));
  EXPECT_THAT(text([](auto& n) { n.layers[2].input.scale *= 2; }), HasSubstr("layer fc1: its input scale differs"));
  EXPECT_THAT(text([](auto& n) { n.layers[2].input.zero_point = 3; }), HasSubstr("layer fc1: its input scale differs"));
  EXPECT_THAT(text([](auto& n) { n.layers[0].weight_scale[3] = 0; }),
              HasSubstr("layer conv1: weight scale of channel 3"));
  EXPECT_THAT(text([](auto& n) { n.layers[0].requantization.multiplier[5] *= 1.0000002f; }),
              HasSubstr("layer conv1: multiplier of channel 5"));
  EXPECT_THAT(text([](auto& n) { n.layers[0].requantization.multiplier[5] = std::nanf(""); }),
              HasSubstr("multiplier of channel 5"));
  EXPECT_THAT(text([](auto& n) {
                n.layers[0].weight_scale[2] = 1e-60;
                n.layers[0].requantization.multiplier[2] = 0;
              }),
              HasSubstr("layer conv1: weight scale of channel 2 is not positive or not in the range of float32"));
  EXPECT_THAT(text([](auto& n) {
                n.layers[0].output.scale = n.layers[1].input.scale = 1e36;
                for (std::size_t c = 0; c < n.layers[0].weight_scale.size(); ++c)
                  n.layers[0].requantization.multiplier[c] =
                      static_cast<float>(n.layers[0].input.scale * n.layers[0].weight_scale[c] / 1e36);
              }),
              HasSubstr("layer conv1: multiplier of channel 0 is not positive or not in the range of float32"));
  EXPECT_THAT(text([](auto& n) { n.layers[4].output.scale = 1e-40; }),
              HasSubstr("layer fc3: expected positive input and output scales"));
  EXPECT_THAT(text([](auto& n) { n.layers[4].output.scale = 1e39; }),
              HasSubstr("layer fc3: expected positive input and output scales"));
  EXPECT_THAT(text([](auto& n) { n.standard_deviation[0] = 1e-46; }), HasSubstr("normalization"));
  EXPECT_THAT(text([](auto& n) { n.mean[0] = 1e39; }), HasSubstr("normalization"));
}

TEST(Check, QnnpackHasOneWeightScaleALayer) {
  QuantizedNetwork n = valid_network();
  n.scheme = Scheme::qnnpack;
  EXPECT_THAT(error_of([&] { check(n); }),
              HasSubstr("layer conv1: weight scale of channel 1 is not that of channel 0"));
  for (QuantizedLayer& layer : n.layers)
    for (std::size_t c = 0; c < layer.weight_scale.size(); ++c) {
      layer.weight_scale[c] = layer.weight_scale[0];
      layer.requantization.multiplier[c] = layer.requantization.multiplier[0];
    }
  EXPECT_NO_THROW(check(n));
}

TEST(Check, AccumulatorsStayWithin32Bits) {
  QuantizedNetwork n = valid_network();
  const QuantizedLayer before = n.layers[0];  // of the layer with a zero point
  const auto most = static_cast<std::int32_t>(largest_bias(before, 4));
  for (const int sign : {1, -1}) {
    n.layers[0].requantization.bias[4] = sign * most;
    EXPECT_NO_THROW(check(n));
    EXPECT_LE(brute_bound(n.layers[0], true), std::int64_t{INT32_MAX});
    EXPECT_LE(brute_bound(n.layers[0], false), std::int64_t{INT32_MAX});
    n.layers[0].requantization.bias[4] = sign * (most + 1);
    EXPECT_THAT(error_of([&] { check(n); }), HasSubstr("layer conv1: accumulators of channel 4 can leave 32 bits"));
  }
  n.layers[0].requantization.bias[4] = INT32_MIN;
  EXPECT_THAT(error_of([&] { check(n); }), HasSubstr("accumulators of channel 4 can leave 32 bits: bias -2147483648"));
}

/// Weights alone that make more than 32 bits: 70,000 of the largest at codes of 255.
TEST(LargestBias, IsNegativeWhereNoneFits) {
  QuantizedLayer layer;
  layer.weights.assign(70'000, 127);
  layer.requantization.bias = {0};
  EXPECT_LT(largest_bias(layer, 0), 0);
  EXPECT_EQ(largest_bias(layer, 0), std::int64_t{INT32_MAX} - 255ll * 127 * 70'000);
}

TEST(CheckRepair, NamesLayerAndChannel) {
  const QuantizedNetwork n = valid_network();
  const auto text = [&](auto&& damage) {
    Repair repair(n.layers.size());
    repair[3] = n.layers[3].requantization;
    check_repair(n, repair);
    damage(*repair[3]);
    return error_of([&] { check_repair(n, repair); });
  };
  EXPECT_NO_THROW(check_repair(n, {}));
  EXPECT_THAT(text([](auto& r) { r.bias.pop_back(); }),
              HasSubstr("repair: layer fc2: expected 84 multipliers and biases"));
  EXPECT_THAT(text([](auto& r) { r.bias[7] = INT32_MAX; }),
              HasSubstr("repair: layer fc2: accumulators of channel 7 can leave 32 bits"));
  EXPECT_THAT(text([](auto& r) { r.bias[7] = INT32_MIN; }),
              HasSubstr("repair: layer fc2: accumulators of channel 7 can leave 32 bits"));
  for (const float m : {0.0f, -1.0f, 1e-40f, std::nanf(""), std::numeric_limits<float>::infinity()})
    EXPECT_THAT(text([&](auto& r) { r.multiplier[2] = m; }),
                HasSubstr("of channel 2 is not positive or not in the range of float32"));
}

}  // namespace
}  // namespace triseg
