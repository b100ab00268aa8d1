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
  n.input = {0.03, 114};
  n.nodes.resize(n.network.nodes.size());
  for (std::size_t i = 0; i < n.nodes.size(); ++i) {
    const Node& shape = n.network.nodes[i];
    QuantizedNode& node = n.nodes[i];
    node.output = {0.04 + 0.01 * double(i), shape.relu ? 0 : 120};
    if (shape.operation == Operation::maximum) node.output = n.input_scale(i);
    if (shape.operation != Operation::convolution) continue;
    for (int k = 0; k < shape.shape.channels * n.network.fan_in(shape); ++k)
      node.weights.push_back(static_cast<std::int8_t>(int(uniform_below(255, 3, Stream::self_test, k, i)) - 127));
    for (int c = 0; c < shape.shape.channels; ++c) {
      node.weight_scale.push_back(0.001 + 0.0001 * c);
      node.requantization.bias.push_back(100 * c - 300);
      node.requantization.multiplier.push_back(
          static_cast<float>(n.input_scale(i).scale * node.weight_scale[c] / node.output.scale));
    }
  }
  return n;
}

// Numbers of its nodes.
constexpr std::size_t conv1 = 0, conv1_pool = 1, conv2 = 2, fc1 = 4, fc2 = 5, fc3 = 6;

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
  n.input = {2.0, 10};
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
  n.input = {0.001, 100};
  const auto codes = input_codes(n, 0);
  EXPECT_EQ(codes[0], 0);      // x = -1
  EXPECT_EQ(codes[255], 255);  // x = +1
  EXPECT_TRUE(std::is_sorted(codes.begin(), codes.end()));
  n.input = {0.03, 114};
  for (int channel = 0; channel < 3; ++channel) {
    const auto table = input_codes(n, channel);
    for (int pixel = 0; pixel < 256; ++pixel) {
      const double x = (pixel / 255.0 - n.mean[channel]) / n.standard_deviation[channel];
      const double q = std::clamp(x / 0.03 + 114, 0.0, 255.0);
      EXPECT_NEAR(table[pixel], q, 0.5001) << "channel " << channel << ", pixel " << pixel;
    }
  }
}

/// The largest |partial sum| of any channel when codes 0 and 255 are chosen against it: with the zero point taken from
/// every code (start = bias), or folded into the bias.
std::int64_t brute_bound(const QuantizedNetwork& n, bool folded) {
  const QuantizedNode& layer = n.nodes[0];
  const std::size_t channels = layer.requantization.bias.size(), fan_in = layer.weights.size() / channels;
  std::int64_t worst = 0;
  for (std::size_t c = 0; c < channels; ++c) {
    const int z = n.input.zero_point;
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

/// A network of one convolution, which knows of its weights and biases alone.
QuantizedNetwork one_convolution(std::vector<std::int8_t> weights, std::vector<std::int32_t> bias) {
  QuantizedNetwork n;
  n.network.nodes.resize(1);
  n.network.nodes[0].inputs = {image_value};
  n.nodes.resize(1);
  n.nodes[0].weights = std::move(weights);
  n.nodes[0].requantization.bias = std::move(bias);
  return n;
}

TEST(AccumulatorBound, HoldsForTheWorstCodes) {
  for (int trial = 0; trial < 200; ++trial) {
    QuantizedNetwork n = one_convolution({}, {});
    auto draw = [&, k = 0](int below) mutable { return int(uniform_below(below, 11, Stream::self_test, trial, k++)); };
    const int channels = 1 + trial % 3, fan_in = 1 + trial % 17;
    n.input.zero_point = trial % 2 ? draw(256) : 0;
    for (int k = 0; k < channels * fan_in; ++k) n.nodes[0].weights.push_back(static_cast<std::int8_t>(draw(256) - 128));
    for (int c = 0; c < channels; ++c) n.nodes[0].requantization.bias.push_back(draw(20001) - 10000);
    const std::int64_t bound = accumulator_bound(n, 0);
    EXPECT_GE(bound, brute_bound(n, true));
    EXPECT_GE(bound, brute_bound(n, false));
  }
}

TEST(AccumulatorBound, IsTheFormulaWithoutAZeroPoint) {
  QuantizedNetwork n = one_convolution({1, -2, 3, /**/ -128, -128, 127}, {-50, 7});
  EXPECT_EQ(accumulator_bound(n, 0), 255 * 256 + 7);
  n.nodes[0].requantization.bias = {-2'147'483'647 - 1, 0};
  EXPECT_EQ(accumulator_bound(n, 0), 255 * 4 + 2'147'483'648);
}

TEST(Check, AcceptsAValidNetwork) { EXPECT_NO_THROW(check(valid_network())); }

TEST(Check, NamesNodeAndField) {
  const auto text = [](auto&& damage) {
    QuantizedNetwork n = valid_network();
    damage(n);
    return error_of([&] { check(n); });
  };
  EXPECT_THAT(text([](auto& n) { n.nodes.pop_back(); }), HasSubstr("lenet5: numbers of 6 nodes for 7 nodes"));
  EXPECT_THAT(text([](auto& n) { n.mean.pop_back(); }), HasSubstr("normalization"));
  EXPECT_THAT(text([](auto& n) { n.standard_deviation[1] = 0; }), HasSubstr("normalization"));
  EXPECT_THAT(text([](auto& n) { n.mean[1] = std::nan(""); }), HasSubstr("normalization"));
  EXPECT_THAT(text([](auto& n) { n.nodes[conv2].weights.pop_back(); }),
              HasSubstr("node conv2: expected 16 x 150 weights, found 2399"));
  EXPECT_THAT(text([](auto& n) { n.nodes[fc1].weight_scale.pop_back(); }),
              HasSubstr("node fc1: expected 120 weight scales"));
  EXPECT_THAT(text([](auto& n) { n.nodes[fc1].requantization.bias.push_back(0); }),
              HasSubstr("node fc1: expected 120"));
  EXPECT_THAT(text([](auto& n) { n.nodes[fc1].requantization.multiplier.clear(); }),
              HasSubstr("node fc1: expected 120"));
  EXPECT_THAT(text([](auto& n) { n.nodes[fc2].output.scale = -1; }),
              HasSubstr("node fc2: expected a positive output scale"));
  EXPECT_THAT(text([](auto& n) { n.input.scale = std::numeric_limits<double>::infinity(); }),
              HasSubstr("lenet5: input: expected a positive scale"));
  EXPECT_THAT(text([](auto& n) { n.input.zero_point = 256; }), HasSubstr("input: expected a zero point in 0..255"));
  EXPECT_THAT(text([](auto& n) { n.nodes[fc3].output.zero_point = -1; }),
              HasSubstr("node fc3: expected an output zero point in 0..255"));
  EXPECT_THAT(text([](auto& n) { n.nodes[conv2].output.zero_point = 1; }),
              HasSubstr("node conv2: a ReLU output must have zero point 0 and lowest code 0"));
  EXPECT_THAT(text([](auto& n) { n.nodes[conv1].weight_scale[3] = 0; }),
              HasSubstr("node conv1: weight scale of channel 3"));
  EXPECT_THAT(text([](auto& n) { n.nodes[conv1].requantization.multiplier[5] *= 1.0000002f; }),
              HasSubstr("node conv1: multiplier of channel 5"));
  EXPECT_THAT(text([](auto& n) { n.nodes[conv1].requantization.multiplier[5] = std::nanf(""); }),
              HasSubstr("multiplier of channel 5"));
  EXPECT_THAT(text([](auto& n) {
                n.nodes[conv1].weight_scale[2] = 1e-60;
                n.nodes[conv1].requantization.multiplier[2] = 0;
              }),
              HasSubstr("node conv1: weight scale of channel 2 is not positive or not in the range of float32"));
  EXPECT_THAT(text([](auto& n) {
                n.nodes[conv1].output.scale = 1e36;
                for (std::size_t c = 0; c < n.nodes[conv1].weight_scale.size(); ++c)
                  n.nodes[conv1].requantization.multiplier[c] =
                      static_cast<float>(n.input.scale * n.nodes[conv1].weight_scale[c] / 1e36);
              }),
              HasSubstr("node conv1: multiplier of channel 0 is not positive or not in the range of float32"));
  EXPECT_THAT(text([](auto& n) { n.nodes[fc3].output.scale = 1e-40; }),
              HasSubstr("node fc3: expected a positive output scale"));
  EXPECT_THAT(text([](auto& n) { n.nodes[fc3].output.scale = 1e39; }),
              HasSubstr("node fc3: expected a positive output scale"));
  EXPECT_THAT(text([](auto& n) { n.standard_deviation[0] = 1e-46; }), HasSubstr("normalization"));
  EXPECT_THAT(text([](auto& n) { n.mean[0] = 1e39; }), HasSubstr("normalization"));
}

TEST(Check, QnnpackHasOneWeightScaleANode) {
  QuantizedNetwork n = valid_network();
  n.scheme = Scheme::qnnpack;
  EXPECT_THAT(error_of([&] { check(n); }), HasSubstr("node conv1: weight scale of channel 1 is not that of channel 0"));
  for (QuantizedNode& layer : n.nodes)
    for (std::size_t c = 0; c < layer.weight_scale.size(); ++c) {
      layer.weight_scale[c] = layer.weight_scale[0];
      layer.requantization.multiplier[c] = layer.requantization.multiplier[0];
    }
  EXPECT_NO_THROW(check(n));
}

TEST(Check, AccumulatorsStayWithin32Bits) {
  QuantizedNetwork n = valid_network();
  const auto most = static_cast<std::int32_t>(largest_bias(n, conv1, 4));  // it reads codes with a zero point
  for (const int sign : {1, -1}) {
    n.nodes[conv1].requantization.bias[4] = sign * most;
    EXPECT_NO_THROW(check(n));
    EXPECT_LE(brute_bound(n, true), std::int64_t{INT32_MAX});
    EXPECT_LE(brute_bound(n, false), std::int64_t{INT32_MAX});
    n.nodes[conv1].requantization.bias[4] = sign * (most + 1);
    EXPECT_THAT(error_of([&] { check(n); }), HasSubstr("node conv1: accumulators of channel 4 can leave 32 bits"));
  }
  n.nodes[conv1].requantization.bias[4] = INT32_MIN;
  EXPECT_THAT(error_of([&] { check(n); }), HasSubstr("accumulators of channel 4 can leave 32 bits: bias -2147483648"));
}

/// Weights alone that make more than 32 bits: 70,000 of the largest at codes of 255.
TEST(LargestBias, IsNegativeWhereNoneFits) {
  const QuantizedNetwork n = one_convolution(std::vector<std::int8_t>(70'000, 127), {0});
  EXPECT_LT(largest_bias(n, 0, 0), 0);
  EXPECT_EQ(largest_bias(n, 0, 0), std::int64_t{INT32_MAX} - 255ll * 127 * 70'000);
}

/// Two values of the image's size, and what joins them.
QuantizedNetwork joined(Operation operation) {
  QuantizedNetwork n;
  n.network.name = n.network.display_name = "joined";
  n.network.input = {1, 2, 2};
  n.network.classes = operation == Operation::concatenate ? 8 : 4;
  n.mean = {0};
  n.standard_deviation = {1};
  n.input = {0.5, 100};
  Node table, join;
  table.name = "table";
  table.operation = Operation::table;
  table.inputs = {image_value};
  join.name = "join";
  join.operation = operation;
  join.inputs = {image_value, 0};
  n.network.nodes = {table, join};
  connect(n.network);
  n.nodes.resize(2);
  n.nodes[0].output = {0.25, 3};
  n.nodes[0].maps.resize(1);
  n.nodes[1].output = {0.5, 100};
  if (operation == Operation::concatenate) n.nodes[1].maps.resize(2);
  return n;
}

TEST(AddTable, HoldsTheOperandAtTheScaleOfTheOutput) {
  QuantizedNetwork n = joined(Operation::add);
  check(n);
  n.nodes[1].output = {0.75, 7};
  const auto first = add_table(n, 1, 0), second = add_table(n, 1, 1);
  for (const int q : {0, 1, 99, 100, 255}) {
    // 0.5 / 0.75 is 2 / 3, 0.25 / 0.75 is 1 / 3: both rounded to 2^-20.
    EXPECT_EQ(first[q], std::lround((q - 100) * 2 * 1048576.0 / 3) + 7 * 1048576) << q;
    EXPECT_EQ(second[q], std::lround((q - 3) * 1048576.0 / 3)) << q;
  }
}

TEST(Multipliers, AreQuotientsOfScales) {
  const QuantizedNetwork n = joined(Operation::multiply);
  check(n);
  EXPECT_EQ(multiply_multiplier(n, 1), 0.25f);
  QuantizedNetwork pooled = valid_network();
  pooled.network.nodes[conv1_pool].operation = Operation::average;
  pooled.nodes[conv1_pool].output = {0.3, 1};
  EXPECT_EQ(average_multiplier(pooled, conv1_pool, 3),
            static_cast<float>(pooled.nodes[conv1].output.scale / (0.3 * 3)));
}

TEST(Check, NamesWhatIsWrongWithOtherOperations) {
  const auto text = [](Operation operation, auto&& damage) {
    QuantizedNetwork n = joined(operation);
    check(n);
    damage(n);
    return error_of([&] { check(n); });
  };
  EXPECT_THAT(text(Operation::add, [](auto& n) { n.nodes[1].output.scale = 0.0001; }),
              HasSubstr("node join: sums of its operands can leave 32 bits"));
  EXPECT_THAT(text(Operation::multiply, [](auto& n) { n.nodes[1].output.scale = 1e38, n.input.scale = 1e-30; }),
              HasSubstr("node join: its multiplier is not positive"));
  EXPECT_THAT(text(Operation::concatenate, [](auto& n) { n.nodes[1].maps.clear(); }),
              HasSubstr("node join: the scale or zero point of its input table is not that of its output"));
  EXPECT_THAT(text(Operation::concatenate, [](auto& n) { n.nodes[1].maps.resize(1); }),
              HasSubstr("expected 2 maps of codes, found 1"));
  EXPECT_THAT(text(Operation::concatenate, [](auto& n) { n.nodes[1].maps[1][200] = 9, n.nodes[1].highest = 8; }),
              HasSubstr("node join: code 9 leaves its range 0..8"));
  EXPECT_THAT(text(Operation::add, [](auto& n) { n.nodes[0].maps.clear(); }),
              HasSubstr("node table: expected 1 maps of codes, found 0"));
  EXPECT_THAT(text(Operation::add, [](auto& n) { n.nodes[0].lowest = 1; }),
              HasSubstr("code 0 leaves its range 1..255"));
  EXPECT_THAT(text(Operation::add, [](auto& n) { n.nodes[1].highest = 256; }),
              HasSubstr("expected lowest and highest codes in 0..255, found 0 and 256"));
  EXPECT_THAT(text(Operation::add, [](auto& n) { n.nodes[1].codes = {1}; }),
              HasSubstr("expected 0 codes of a constant, found 1"));
  EXPECT_THAT(text(Operation::add, [](auto& n) { n.nodes[1].weights = {1}; }), HasSubstr("expected 0 x 0 weights"));

  QuantizedNetwork n = valid_network();
  n.nodes[conv1_pool].output.scale = 1;
  EXPECT_THAT(error_of([&] { check(n); }),
              HasSubstr("node conv1.pool: the scale or zero point of its input conv1 is not that of its output"));
  n = valid_network();
  n.nodes[conv1_pool].highest = 200;
  EXPECT_THAT(error_of([&] { check(n); }),
              HasSubstr("node conv1.pool: the codes 0..255 of its input conv1 leave its range 0..200"));
  n = valid_network();
  n.nodes[conv2].lowest = 1;
  EXPECT_THAT(error_of([&] { check(n); }), HasSubstr("node conv2: a ReLU output must have zero point 0 and lowest"));
}

TEST(CheckRepair, NamesNodeAndChannel) {
  const QuantizedNetwork n = valid_network();
  const auto text = [&](auto&& damage) {
    Repair repair(n.nodes.size());
    repair[fc2] = n.nodes[fc2].requantization;
    check_repair(n, repair);
    damage(*repair[fc2]);
    return error_of([&] { check_repair(n, repair); });
  };
  EXPECT_NO_THROW(check_repair(n, {}));
  EXPECT_THAT(error_of([&] { check_repair(n, Repair(3)); }), HasSubstr("repair: expected 7 nodes, found 3"));
  Repair of_a_pool(n.nodes.size());
  of_a_pool[conv1_pool] = n.nodes[conv1].requantization;
  EXPECT_THAT(error_of([&] { check_repair(n, of_a_pool); }),
              HasSubstr("repair: node conv1.pool: expected a convolution or fully connected layer, found a node of "
                        "kind maximum"));
  EXPECT_THAT(text([](auto& r) { r.bias.pop_back(); }),
              HasSubstr("repair: node fc2: expected 84 multipliers and biases"));
  EXPECT_THAT(text([](auto& r) { r.bias[7] = INT32_MAX; }),
              HasSubstr("repair: node fc2: accumulators of channel 7 can leave 32 bits"));
  EXPECT_THAT(text([](auto& r) { r.bias[7] = INT32_MIN; }),
              HasSubstr("repair: node fc2: accumulators of channel 7 can leave 32 bits"));
  for (const float m : {0.0f, -1.0f, 1e-40f, std::nanf(""), std::numeric_limits<float>::infinity()})
    EXPECT_THAT(text([&](auto& r) { r.multiplier[2] = m; }),
                HasSubstr("of channel 2 is not positive or not in the range of float32"));
}

}  // namespace
}  // namespace triseg
