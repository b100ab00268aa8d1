#include "network/problem.hpp"

#include "network/recipes.hpp"
#include "tests/error_of.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>

namespace triseg {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> names(const Network& n, const std::vector<std::size_t>& layers) {
  std::vector<std::string> result;
  for (std::size_t i : layers) result.push_back(n.layers[i].name);
  return result;
}

std::vector<std::string> site_names(const Network& n) { return names(n, select_sites(n, "all")); }
std::vector<std::string> attention_names(const Network& n) { return names(n, select_attention_layers(n, "default")); }

std::vector<std::string> record_keys(const Network& n) {
  std::vector<std::string> keys;
  for (std::size_t i : select_sites(n, "all")) keys.push_back(record_key(n.layers[i]));
  return keys;
}

TEST(Network, AlexNetIsTheOneDescribed) {
  const Recipe recipe = make_recipe("alexnet");
  const Network& n = recipe.network;
  EXPECT_EQ(n.display_name, "AlexNet");
  EXPECT_THAT(site_names(n), ElementsAre("conv1", "conv2", "conv3", "conv4", "conv5", "fc1", "fc2"));
  EXPECT_THAT(attention_names(n), ElementsAre("conv3", "conv4", "fc1"));
  EXPECT_THAT(record_keys(n),
              ElementsAre("block_output.conv1", "block_output.conv2", "block_output.conv3", "block_output.conv4",
                          "block_output.conv5", "classifier.fc1.out", "classifier.fc2.out"));
  struct Shape {
    int in, out, kernel, in_side, out_side, pooled_side;
  };
  const Shape expected[] = {{3, 64, 5, 32, 16, 8},  {64, 192, 5, 8, 8, 4},  {192, 384, 3, 4, 4, 4},
                            {384, 256, 3, 4, 4, 4}, {256, 256, 3, 4, 4, 2}, {1024, 512, 1, 1, 1, 1},
                            {512, 256, 1, 1, 1, 1}, {256, 10, 1, 1, 1, 1}};
  ASSERT_EQ(n.layers.size(), std::size(expected));
  for (std::size_t i = 0; i < n.layers.size(); ++i) {
    SCOPED_TRACE(n.layers[i].name);
    const Layer& layer = n.layers[i];
    EXPECT_EQ(layer.in_channels, expected[i].in);
    EXPECT_EQ(layer.out_channels, expected[i].out);
    EXPECT_EQ(layer.kernel, expected[i].kernel);
    EXPECT_EQ(layer.in_side, expected[i].in_side);
    EXPECT_EQ(layer.out_side, expected[i].out_side);
    EXPECT_EQ(layer.pooled_side, expected[i].pooled_side);
    EXPECT_EQ(recipe.training[i].batch_norm, layer.kind == LayerKind::convolution);
  }
  EXPECT_FALSE(n.layers.back().relu);
  EXPECT_DOUBLE_EQ(recipe.training[5].dropout, 0.5);
  EXPECT_DOUBLE_EQ(recipe.training[6].dropout, 0.5);
  // conv1 .. conv5, fc1 .. fc3, by hand.
  EXPECT_DOUBLE_EQ(n.macs(), 256.0 * 64 * 75 + 64.0 * 192 * 1600 + 16.0 * 384 * 1728 + 16.0 * 256 * 3456 +
                                 16.0 * 256 * 2304 + 1024.0 * 512 + 512.0 * 256 + 2560);
  EXPECT_NEAR(n.macs() / 1e6, 55.8, 0.1);
}

TEST(Network, LeNet5HasFourSites) {
  const Network n = make_recipe("lenet5").network;
  EXPECT_EQ(n.display_name, "LeNet-5");
  EXPECT_THAT(site_names(n), ElementsAre("conv1", "conv2", "fc1", "fc2"));
  EXPECT_THAT(attention_names(n), ElementsAre("conv1", "conv2"));
  EXPECT_THAT(record_keys(n),
              ElementsAre("block_output.conv1", "block_output.conv2", "classifier.fc1.out", "classifier.fc2.out"));
  EXPECT_EQ(n.layers[1].out_side, 10);
  EXPECT_EQ(n.layers[1].output_size(), 400);
}

TEST(Network, VggHasFiveBlocks) {
  const Network n = make_recipe("vgg16").network;
  EXPECT_EQ(n.display_name, "VGG-16");
  EXPECT_THAT(site_names(n), ElementsAre("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3",
                                         "conv4_1", "conv4_2", "conv4_3", "conv5_1", "conv5_2", "conv5_3"));
  EXPECT_THAT(attention_names(n), ElementsAre("conv3_1", "conv4_1", "conv5_1"));
  EXPECT_EQ(record_keys(n).front(), "block_output.conv1_1");
  // By hand, a block a line: positions x outputs x 9 inputs.
  EXPECT_DOUBLE_EQ(n.macs(), 1024.0 * 64 * 9 * (3 + 64) + 256.0 * 128 * 9 * (64 + 128) +
                                 64.0 * 256 * 9 * (128 + 2 * 256) + 16.0 * 512 * 9 * (256 + 2 * 512) +
                                 4.0 * 512 * 9 * (3 * 512) + 512.0 * 10);
  const Network deeper = make_recipe("vgg19").network;
  EXPECT_EQ(deeper.display_name, "VGG-19");
  EXPECT_THAT(site_names(deeper), testing::SizeIs(16));
  EXPECT_EQ(site_names(deeper).back(), "conv5_4");
  EXPECT_THAT(attention_names(deeper), ElementsAre("conv3_2", "conv4_2", "conv5_2"));
}

TEST(Network, EveryDescriptionIsAChainThatEndsInLogits) {
  EXPECT_THAT(recipe_names(), testing::IsSupersetOf({"alexnet", "vgg16", "vgg19", "lenet5"}));
  for (const std::string& name : recipe_names()) {
    SCOPED_TRACE(name);
    const Network n = make_recipe(name).network;
    EXPECT_EQ(n.name, name);
    int size = n.input_size();
    for (const Layer& layer : n.layers) {
      EXPECT_EQ(size, layer.in_channels * layer.in_side * layer.in_side) << layer.name;
      EXPECT_GE(layer.pooled_side, 1) << layer.name;
      size = layer.output_size();
    }
    EXPECT_EQ(size, n.classes);
    EXPECT_FALSE(n.layers.back().relu);
    const auto keys = record_keys(n);
    EXPECT_EQ(std::set<std::string>(keys.begin(), keys.end()).size(), keys.size());
    const auto attention = select_attention_layers(n, "default");
    EXPECT_TRUE(std::is_sorted(attention.begin(), attention.end()));
    for (std::size_t i : attention) EXPECT_TRUE(n.layers.at(i).relu);
  }
}

TEST(Network, UnknownNamesAreErrorsThatListTheKnownOnes) {
  const std::string text = error_of([] { make_recipe("alexnett"); });
  EXPECT_THAT(text, HasSubstr("alexnett"));
  EXPECT_THAT(text, HasSubstr("lenet5"));
  EXPECT_THROW(make_recipe(""), Error);
  const Network n = make_recipe("alexnet").network;
  EXPECT_EQ(layer_index(n, "fc3", "here"), 7u);
  const std::string layer = error_of([&] { layer_index(n, "conv9", "--sites"); });
  EXPECT_THAT(layer, HasSubstr("--sites: AlexNet has no layer 'conv9'"));
  EXPECT_THAT(layer, HasSubstr("conv1, conv2"));
}

/// A description as a file might bring it.
TEST(Connect, RefusesWhatDoesNotFit) {
  const auto error_after = [](auto change) {
    Network n = make_recipe("lenet5").network;
    change(n);
    return error_of([&] { connect(n); });
  };
  EXPECT_NO_THROW({
    Network untouched = make_recipe("lenet5").network;
    connect(untouched);
  });
  EXPECT_THAT(error_after([](Network& n) { n.layers.clear(); }), HasSubstr("at least one layer"));
  EXPECT_THAT(error_after([](Network& n) { n.layers[1].name = "conv1"; }), HasSubstr("two layers are called 'conv1'"));
  for (const char* name : {"", "a/b", "a,b", "a\n", "..", "caf\xe9"}) {
    EXPECT_THAT(error_after([&](Network& n) { n.layers[1].name = name; }), HasSubstr("expected UTF-8 without")) << name;
    EXPECT_THAT(error_after([&](Network& n) { n.name = name; }), HasSubstr("network name")) << name;
  }
  for (const char* name : {"all", "conv", "none", "default"})
    EXPECT_THAT(error_after([&](Network& n) { n.layers[1].name = name; }), HasSubstr("means something else by it"));
  // The product of sides and channels is 2^44, whose lower 32 bits are the 0 channels that the next layer takes.
  EXPECT_THAT(error_after([](Network& n) {
                n.input_side = 4096;
                n.layers[0].kernel = n.layers[0].pool = 1;
                n.layers[0].padding = 0;
                n.layers[0].out_channels = 1 << 20;
                n.layers = {n.layers[0], n.layers[2]};
                n.layers[1].in_channels = 0;
              }),
              HasSubstr("layer conv1: 1048576 output channels of 4096 x 4096"));
  EXPECT_THAT(error_after([](Network& n) { n.layers[1].in_channels = 7; }),
              HasSubstr("layer conv2: takes 7 channels but gets 6"));
  EXPECT_THAT(error_after([](Network& n) { n.layers[0].kernel = 99; }), HasSubstr("layer conv1: kernel 99"));
  EXPECT_THAT(error_after([](Network& n) { n.layers[0].stride = 0; }), HasSubstr("stride 0"));
  EXPECT_THAT(error_after([](Network& n) { n.layers[0].pool = 0; }), HasSubstr("pool 0"));
  EXPECT_THAT(error_after([](Network& n) { n.layers[0].padding = -1; }), HasSubstr("padding -1"));
  EXPECT_THAT(error_after([](Network& n) { n.layers[0].pool = 29; }), HasSubstr("leaves nothing"));
  EXPECT_THAT(error_after([](Network& n) { n.layers[3].kernel = 2; }), HasSubstr("layer fc2: a fully connected layer"));
  EXPECT_THAT(error_after([](Network& n) { n.layers[1].relu = false; }), HasSubstr("layer conv2: expected a ReLU"));
  EXPECT_THAT(error_after([](Network& n) { n.layers.back().relu = true; }), HasSubstr("layer fc3: expected a ReLU"));
  EXPECT_THAT(error_after([](Network& n) { n.classes = 11; }), HasSubstr("makes 10 logits for 11 classes"));
  EXPECT_THAT(error_after([](Network& n) { n.input_side = 0; }), HasSubstr("an input of 3 x 0 x 0"));
  EXPECT_THAT(error_after([](Network& n) { n.layers[0].out_channels = 0; }), HasSubstr("0 output channels"));
  EXPECT_THAT(error_after([](Network& n) { n.default_attention = {"conv7"}; }), HasSubstr("no layer 'conv7'"));
  EXPECT_THAT(error_after([](Network& n) { n.default_attention = {"fc3"}; }),
              HasSubstr("attention layer fc3 makes the logits"));
}

TEST(SelectSites, KeepsWhatIsNamed) {
  const auto selected = [](std::string_view selection) {
    const Network n = make_recipe("alexnet").network;
    return names(n, select_sites(n, selection));
  };
  EXPECT_THAT(selected("all"), testing::SizeIs(7));
  EXPECT_THAT(selected("conv"), ElementsAre("conv1", "conv2", "conv3", "conv4", "conv5"));
  EXPECT_THAT(selected("fc1"), ElementsAre("fc1"));
  EXPECT_THAT(selected("fc2,conv1"), ElementsAre("conv1", "fc2"));
}

TEST(SelectSites, RefusesWhatIsNoSite) {
  const auto text = [](std::string_view selection) {
    return error_of([&] { select_sites(make_recipe("alexnet").network, selection); });
  };
  EXPECT_THAT(text("conv1,conv7"), HasSubstr("conv7"));
  EXPECT_THAT(text("conv1,fc3"), HasSubstr("'fc3' of AlexNet makes the logits"));
  EXPECT_THAT(text("conv1,conv1"), HasSubstr("'conv1' is named twice"));
  EXPECT_THAT(text(""), HasSubstr("selects no site"));
  EXPECT_THAT(text("conv1,,conv2"), HasSubstr("has no layer ''"));
  EXPECT_THAT(text("Conv1"), HasSubstr("Conv1"));
  EXPECT_THAT(text("conv7"), testing::EndsWith("expected names from conv1, conv2, conv3, conv4, conv5, fc1, fc2"));
  for (const std::string_view blank : {"conv1, conv2", "conv1,", " conv1"})
    EXPECT_THAT(text(blank), HasSubstr("expected names separated by commas, without blanks"));
}

TEST(SelectAttentionLayers, KeepsOrReplaces) {
  const auto selected = [](std::string_view selection) {
    const Network n = make_recipe("alexnet").network;
    return names(n, select_attention_layers(n, selection));
  };
  EXPECT_THAT(selected("default"), ElementsAre("conv3", "conv4", "fc1"));
  EXPECT_THAT(selected("none"), testing::IsEmpty());
  EXPECT_THAT(selected("fc2,conv1"), ElementsAre("conv1", "fc2"));
}

TEST(SelectAttentionLayers, RefusesUnknownRepeatedAndLogits) {
  const auto text = [](std::string_view selection) {
    return error_of([&] { select_attention_layers(make_recipe("alexnet").network, selection); });
  };
  EXPECT_THAT(text("conv6"), HasSubstr("--attention-layers: AlexNet has no layer 'conv6'"));
  EXPECT_THAT(text("conv3,conv3"), HasSubstr("twice"));
  EXPECT_THAT(text("fc3"), HasSubstr("makes the logits"));
  EXPECT_THAT(text(""), HasSubstr("empty"));
}

}  // namespace
}  // namespace triseg
