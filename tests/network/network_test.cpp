#include "network/problem.hpp"

#include "network/chain.hpp"
#include "network/recipes.hpp"
#include "tests/error_of.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>

namespace triseg {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> names(const Network& n, const std::vector<std::size_t>& nodes) {
  std::vector<std::string> result;
  for (std::size_t i : nodes) result.push_back(n.nodes[i].name);
  return result;
}

std::vector<std::string> site_names(const Network& n) { return names(n, select_sites(n, "all")); }
std::vector<std::string> attention_names(const Network& n) { return names(n, select_attention_layers(n, "default")); }

std::vector<std::string> record_keys(const Network& n) {
  std::vector<std::string> keys;
  for (std::size_t i : select_sites(n, "all")) keys.push_back(record_key(n, n.nodes[i]));
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
  struct Expected {
    const char* name;
    Shape in, out;
    int window;
  };
  const Expected expected[] = {{"conv1", {3, 32, 32}, {64, 16, 16}, 5}, {"conv1.pool", {64, 16, 16}, {64, 8, 8}, 2},
                               {"conv2", {64, 8, 8}, {192, 8, 8}, 5},   {"conv2.pool", {192, 8, 8}, {192, 4, 4}, 2},
                               {"conv3", {192, 4, 4}, {384, 4, 4}, 3},  {"conv4", {384, 4, 4}, {256, 4, 4}, 3},
                               {"conv5", {256, 4, 4}, {256, 4, 4}, 3},  {"conv5.pool", {256, 4, 4}, {256, 2, 2}, 2},
                               {"fc1", {256, 2, 2}, {512, 1, 1}, 2},    {"fc2", {512, 1, 1}, {256, 1, 1}, 1},
                               {"fc3", {256, 1, 1}, {10, 1, 1}, 1}};
  ASSERT_EQ(n.nodes.size(), std::size(expected));
  for (std::size_t i = 0; i < n.nodes.size(); ++i) {
    SCOPED_TRACE(expected[i].name);
    const Node& node = n.nodes[i];
    EXPECT_EQ(node.name, expected[i].name);
    EXPECT_THAT(node.inputs, ElementsAre(int(i) - 1));
    EXPECT_EQ(n.input_shape(node), expected[i].in);
    EXPECT_EQ(node.shape, expected[i].out);
    EXPECT_EQ(node.window.height, expected[i].window);
    EXPECT_EQ(node.window.width, expected[i].window);
    EXPECT_EQ(recipe.training[i].batch_norm, kind_name(n, node) == "conv");
    EXPECT_EQ(node.operation == Operation::maximum, node.name.ends_with(".pool"));
  }
  EXPECT_FALSE(n.nodes.back().relu);
  EXPECT_DOUBLE_EQ(recipe.training[8].dropout, 0.5);
  EXPECT_DOUBLE_EQ(recipe.training[9].dropout, 0.5);
  EXPECT_EQ(n.channels(), 64u + 192 + 384 + 256 + 256 + 512 + 256 + 10);
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
  EXPECT_EQ(n.nodes[2].shape, (Shape{16, 10, 10}));
  EXPECT_EQ(n.nodes[3].shape.size(), 400);
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

TEST(Network, EveryDescriptionEndsInLogits) {
  EXPECT_THAT(recipe_names(), testing::IsSupersetOf({"alexnet", "vgg16", "vgg19", "lenet5"}));
  for (const std::string& name : recipe_names()) {
    SCOPED_TRACE(name);
    const Network n = make_recipe(name).network;
    EXPECT_EQ(n.name, name);
    EXPECT_EQ(n.nodes.back().shape.size(), n.classes);
    EXPECT_FALSE(n.nodes.back().relu);
    Network again = n;
    for (Node& node : again.nodes)
      if (node.operation != Operation::convolution) node.shape = {};
    connect(again);
    EXPECT_EQ(again, n);
    const auto keys = record_keys(n);
    EXPECT_EQ(std::set<std::string>(keys.begin(), keys.end()).size(), keys.size());
    const auto attention = select_attention_layers(n, "default");
    EXPECT_TRUE(std::is_sorted(attention.begin(), attention.end()));
    for (std::size_t i : attention) EXPECT_TRUE(n.nodes.at(i).relu);
  }
}

TEST(Network, UnknownNamesAreErrorsThatListTheKnownOnes) {
  const std::string text = error_of([] { make_recipe("alexnett"); });
  EXPECT_THAT(text, HasSubstr("alexnett"));
  EXPECT_THAT(text, HasSubstr("lenet5"));
  EXPECT_THROW(make_recipe(""), Error);
  const Network n = make_recipe("alexnet").network;
  EXPECT_EQ(node_index(n, "fc3", "here"), 10u);
  const std::string node = error_of([&] { node_index(n, "conv9", "--sites"); });
  EXPECT_THAT(node, HasSubstr("--sites: AlexNet has no node 'conv9'"));
  EXPECT_THAT(node, HasSubstr("conv1, conv1.pool, conv2"));
  EXPECT_THAT(error_of([] { parse_operation("conv"); }), HasSubstr("unknown operation 'conv': expected one of conv"));
  for (const char* name : {"convolution", "average", "maximum", "add", "multiply", "concatenate", "table", "constant"})
    EXPECT_EQ(operation_name(parse_operation(name)), name);
}

/// A description as a file might bring it.
TEST(Connect, RefusesWhatDoesNotFit) {
  const auto error_after = [](auto change) {
    Network n = make_recipe("lenet5").network;  // conv1, conv1.pool, conv2, conv2.pool, fc1, fc2, fc3
    change(n);
    return error_of([&] { connect(n); });
  };
  EXPECT_NO_THROW({
    Network untouched = make_recipe("lenet5").network;
    connect(untouched);
  });
  EXPECT_THAT(error_after([](Network& n) { n.nodes.clear(); }), HasSubstr("at least one node"));
  EXPECT_THAT(error_after([](Network& n) { n.nodes[2].name = "conv1"; }), HasSubstr("two nodes are called 'conv1'"));
  for (const char* name : {"", "a/b", "a,b", "a\n", "..", "caf\xe9"}) {
    EXPECT_THAT(error_after([&](Network& n) { n.nodes[1].name = name; }), HasSubstr("expected UTF-8 without")) << name;
    EXPECT_THAT(error_after([&](Network& n) { n.name = name; }), HasSubstr("network name")) << name;
  }
  for (const char* name : {"a*", "?"})
    EXPECT_THAT(error_after([&](Network& n) { n.nodes[1].name = name; }), HasSubstr("without '/', ',', '*', '?'"));
  for (const char* name : {"all", "conv", "none", "default"})
    EXPECT_THAT(error_after([&](Network& n) { n.nodes[1].name = name; }), HasSubstr("means something else by it"));
  EXPECT_THAT(error_after([](Network& n) {
                n.input = {1, 4096, 4096};
                n.nodes[0].window = {};
                n.nodes[0].shape.channels = 1 << 20;
              }),
              HasSubstr("node conv1: 1048576 output channels of 4096 x 4096: more elements than"));
  EXPECT_THAT(error_after([](Network& n) { n.nodes[0].window.height = 99; }),
              HasSubstr("node conv1: a window of 99 x 5, strides 1 and 1, dilations 1 and 1, padding 0, 0, 0 and 0 "
                        "(top, left, bottom, right) does not fit an input of 32 x 32"));
  EXPECT_THAT(error_after([](Network& n) { n.nodes[0].window.stride_x = 0; }), HasSubstr("strides 1 and 0"));
  EXPECT_THAT(error_after([](Network& n) { n.nodes[0].window.dilation_y = 8; }), HasSubstr("dilations 8 and 1"));
  EXPECT_THAT(error_after([](Network& n) { n.nodes[0].window.dilation_y = 1 << 30; }), HasSubstr("dilations"));
  EXPECT_THAT(error_after([](Network& n) { n.nodes[0].window.pad_left = -1; }), HasSubstr("padding 0, -1, 0 and 0"));
  EXPECT_THAT(error_after([](Network& n) { n.nodes[0].window.pad_bottom = 5; }), HasSubstr("padding 0, 0, 5 and 0"));
  EXPECT_THAT(error_after([](Network& n) { n.nodes[1].window.height = 29; }), HasSubstr("node conv1.pool: a window"));
  EXPECT_THAT(error_after([](Network& n) { n.nodes[0].groups = 2; }),
              HasSubstr("node conv1: 2 groups do not divide 3 input and 6 output channels"));
  EXPECT_THAT(error_after([](Network& n) { n.nodes[0].window.ceil = true; }), HasSubstr("do not hang over an edge"));
  EXPECT_THAT(error_after([](Network& n) { n.nodes[1].groups = 2; }), HasSubstr("a maximum node has no groups"));
  EXPECT_THAT(error_after([](Network& n) { n.nodes[1].count_padding = true; }), HasSubstr("counts no padding"));
  EXPECT_THAT(error_after([](Network& n) { n.nodes[1].inputs = {}; }), HasSubstr("has 0 inputs: expected 1"));
  EXPECT_THAT(error_after([](Network& n) { n.nodes[1].inputs = {1}; }),
              HasSubstr("node conv1.pool: its input 1 does not come before it: it is node 1"));
  EXPECT_THAT(error_after([](Network& n) { n.nodes[1].inputs = {-2}; }),
              HasSubstr("its input -2 does not come before"));
  EXPECT_THAT(error_after([](Network& n) { n.nodes[2].inputs = {0}; }), HasSubstr("node conv1.pool: nothing uses it"));
  EXPECT_THAT(error_after([](Network& n) {
                n.nodes[0].operation = Operation::constant;
                n.nodes[0].inputs = {};
                n.nodes[0].window = {};
                n.nodes[0].shape = {6, 28, 28};
                n.nodes[0].relu = false;
              }),
              HasSubstr("nothing uses the image"));
  EXPECT_THAT(error_after([](Network& n) {
                n.nodes[0].operation = Operation::constant;
                n.nodes[0].inputs = {};
                n.nodes[0].window = {};
              }),
              HasSubstr("a constant has no ReLU"));
  EXPECT_THAT(error_after([](Network& n) { n.nodes[1].operation = Operation::table; }), HasSubstr("has no window"));
  EXPECT_THAT(error_after([](Network& n) { n.nodes.back().relu = true; }),
              HasSubstr("node fc3: expected no ReLU behind the logits"));
  EXPECT_THAT(error_after([](Network& n) { n.classes = 11; }), HasSubstr("makes 10 logits for 11 classes"));
  EXPECT_THAT(error_after([](Network& n) { n.input.height = 0; }), HasSubstr("an input of 3 x 0 x 32"));
  EXPECT_THAT(error_after([](Network& n) { n.nodes[0].shape.channels = 0; }), HasSubstr("0 output channels"));
  EXPECT_THAT(error_after([](Network& n) { n.default_attention = {"conv7"}; }), HasSubstr("no node 'conv7'"));
  EXPECT_THAT(error_after([](Network& n) { n.default_attention = {"fc3"}; }),
              HasSubstr("attention layer fc3 makes the logits"));
  EXPECT_THAT(error_after([](Network& n) { n.all_sites = {"conv1.pool"}; }), HasSubstr("site conv1.pool has no ReLU"));
  EXPECT_THAT(error_after([](Network& n) { n.all_sites = {"fc1", "fc1"}; }), HasSubstr("site fc1 is named twice"));
}

/// A node of one input.
Node node(std::string name, Operation operation, std::vector<int> inputs, int channels = 0, int window = 1) {
  Node made;
  made.name = std::move(name);
  made.operation = operation;
  made.inputs = std::move(inputs);
  made.shape.channels = channels;
  made.window.height = made.window.width = window;
  return made;
}

/// One residual block, two branches that are concatenated, and an average over the plane that a gate multiplies.
Network branched() {
  Network n;
  n.name = n.display_name = "branched";
  n.input = {2, 7, 5};
  n.classes = 3;
  n.nodes = {node("stem", Operation::convolution, {image_value}, 4, 3),  // 4 x 5 x 3
             node("inner", Operation::convolution, {0}, 4, 3),           // 4 x 5 x 3, padded
             node("sum", Operation::add, {0, 1}),                        // 4 x 5 x 3
             node("narrow", Operation::convolution, {2}, 2),             // 2 x 5 x 3
             node("both", Operation::concatenate, {3, 2, 2}),            // 10 x 5 x 3
             node("mean", Operation::average, {4}),                      // 10 x 1 x 1
             node("gate", Operation::table, {5}),                        // 10 x 1 x 1
             node("gated", Operation::multiply, {4, 6}),                 // 10 x 5 x 3
             node("one", Operation::constant, {}, 10),                   // 10 x 1 x 1
             node("shifted", Operation::add, {8, 7}),                    // 10 x 5 x 3
             node("pool", Operation::maximum, {9}, 0, 2),                // 10 x 3 x 2 with ceil
             node("logits", Operation::convolution, {10}, 3, 3)};
  n.nodes[1].window.pad_top = n.nodes[1].window.pad_left = n.nodes[1].window.pad_bottom = n.nodes[1].window.pad_right =
      1;
  n.nodes[5].window.height = 5;
  n.nodes[5].window.width = 3;
  n.nodes[10].window.stride_y = n.nodes[10].window.stride_x = 2;
  n.nodes[10].window.ceil = true;
  n.nodes[11].window.width = 2;
  for (const std::size_t behind_relu : {0, 2, 3, 4}) n.nodes[behind_relu].relu = true;
  connect(n);
  return n;
}

TEST(Connect, FillsInTheShapesOfAGraph) {
  const Network n = branched();
  const Shape expected[] = {{4, 5, 3},  {4, 5, 3},  {4, 5, 3},  {2, 5, 3},  {10, 5, 3}, {10, 1, 1},
                            {10, 1, 1}, {10, 5, 3}, {10, 1, 1}, {10, 5, 3}, {10, 3, 2}, {3, 1, 1}};
  for (std::size_t i = 0; i < n.nodes.size(); ++i) EXPECT_EQ(n.nodes[i].shape, expected[i]) << n.nodes[i].name;
  EXPECT_THAT(n.consumers(2), ElementsAre(3, 4));
  EXPECT_THAT(n.consumers(image_value), ElementsAre(0));
  EXPECT_THAT(n.consumers(11), testing::IsEmpty());
  EXPECT_TRUE(n.fully_connected(n.nodes[11]));
  EXPECT_FALSE(n.fully_connected(n.nodes[3]));
  EXPECT_EQ(n.fan_in(n.nodes[11]), 60);
  EXPECT_EQ(kind_name(n, n.nodes[11]), "fc");
  EXPECT_EQ(kind_name(n, n.nodes[3]), "conv");
  EXPECT_EQ(kind_name(n, n.nodes[4]), "concatenate");
  EXPECT_EQ(record_key(n, n.nodes[4]), "block_output.both");
  EXPECT_EQ(n.channels(), 4u + 4 + 2 + 3);
  EXPECT_DOUBLE_EQ(n.macs(), 15.0 * 4 * 18 + 15.0 * 4 * 36 + 15.0 * 2 * 4 + 180);
}

TEST(Connect, DepthwiseConvolutionsTakeOneChannelEach) {
  Network n = branched();
  n.nodes[1].groups = 4;
  connect(n);
  EXPECT_EQ(n.fan_in(n.nodes[1]), 9);
  EXPECT_FALSE(n.fully_connected(n.nodes[1]));
}

TEST(Connect, RefusesOperandsThatDoNotFit) {
  const auto error_after = [](auto change) {
    Network n = branched();
    change(n);
    return error_of([&] { connect(n); });
  };
  EXPECT_THAT(error_after([](Network& n) { n.nodes[1].shape.channels = 3; }),
              HasSubstr("node sum: operands of 4 x 5 x 3 and 3 x 5 x 3: expected each size equal, or 1"));
  EXPECT_THAT(error_after([](Network& n) { n.nodes[3].window.height = 2; }),
              HasSubstr("node both: concatenates planes of 4 x 3 and 5 x 3"));
  EXPECT_THAT(error_after([](Network& n) { n.nodes[2].inputs = {0}; }), HasSubstr("an add node has 1 inputs"));
  EXPECT_THAT(error_after([](Network& n) { n.nodes[4].inputs = {}; }), HasSubstr("a concatenate node has no input"));
  EXPECT_THAT(error_after([](Network& n) { n.nodes[8].shape.channels = 9; }), HasSubstr("node shifted: operands"));
}

/// Rows of an axis of `side` under a pool.
int rows_of(int side, int window, int stride, int before, int after, bool ceil, int dilation = 1) {
  Network n;
  n.name = "pool";
  n.input = {1, side, 1};
  n.nodes = {node("pool", Operation::maximum, {image_value})};
  n.nodes[0].window = {window, 1, stride, 1, dilation, 1, before, 0, after, 0, ceil};
  connect_node(n, 0);
  return n.nodes[0].shape.height;
}

/// Numbers of PyTorch's max_pool2d with ceil_mode, whose last window must begin inside the input or its padding above.
TEST(Connect, WindowsHangOverAnEdgeIfTheyBeginBeforeIt) {
  EXPECT_EQ(rows_of(8, 3, 2, 0, 0, false), 3);
  EXPECT_EQ(rows_of(8, 3, 2, 0, 0, true), 4);
  EXPECT_EQ(rows_of(7, 3, 2, 0, 0, true), 3);
  EXPECT_EQ(rows_of(5, 2, 3, 0, 0, true), 2);
  EXPECT_EQ(rows_of(3, 1, 4, 0, 0, true), 1);  // a second one would begin behind the input
  EXPECT_EQ(rows_of(6, 2, 2, 1, 1, true), 4);
  EXPECT_EQ(rows_of(6, 2, 2, 1, 1, false), 4);
  EXPECT_EQ(rows_of(7, 3, 1, 0, 0, false, 2), 3);
  EXPECT_THAT(error_of([] { rows_of(1, 2, 1, 1, 1, false, 2); }),
              HasSubstr("a window holds nothing of its input of 1 x 1, padding alone"));
}

TEST(AppendLayer, RefusesWhatDoesNotFit) {
  const auto error_after = [](auto change) {
    Network n;
    n.name = "chain";
    ChainLayer layer;
    layer.name = "a";
    layer.in_channels = 3;
    layer.out_channels = 2;
    change(layer);
    return error_of([&] { append_layer(n, layer); });
  };
  EXPECT_THAT(error_after([](ChainLayer& l) { l.in_channels = 7; }),
              HasSubstr("network chain: layer a: takes 7 channels but gets 3"));
  EXPECT_THAT(error_after([](ChainLayer& l) { l.fully_connected = true; }),
              HasSubstr("takes 3 channels but gets 3072"));
  EXPECT_THAT(error_after([](ChainLayer& l) { l.fully_connected = true, l.kernel = 2; }),
              HasSubstr("layer a: a fully connected layer"));
  EXPECT_THAT(error_after([](ChainLayer& l) { l.pool = 33; }), HasSubstr("node a.pool: a window of 33 x 33"));
  EXPECT_THAT(error_after([](ChainLayer& l) { l.pool = 0; }), HasSubstr("node a.pool: a window of 0 x 0"));
}

TEST(SelectSites, KeepsWhatIsNamed) {
  const auto selected = [](std::string_view selection) {
    const Network n = make_recipe("alexnet").network;
    return names(n, select_sites(n, selection));
  };
  EXPECT_THAT(selected("all"), testing::SizeIs(7));
  EXPECT_THAT(selected("conv"), ElementsAre("conv1", "conv2", "conv3", "conv4", "conv5"));
  EXPECT_THAT(selected("fc"), ElementsAre("fc1", "fc2"));
  EXPECT_THAT(selected("fc1"), ElementsAre("fc1"));
  EXPECT_THAT(selected("fc2,conv1"), ElementsAre("conv1", "fc2"));
  EXPECT_THAT(selected("conv,fc1"), testing::SizeIs(6));
  EXPECT_THAT(selected("fc*"), ElementsAre("fc1", "fc2"));
  EXPECT_THAT(selected("*v?,conv4"), ElementsAre("conv1", "conv2", "conv3", "conv4", "conv5"));
  EXPECT_THAT(selected("c*o*1,fc2"), ElementsAre("conv1", "fc2"));
  EXPECT_THAT(selected("*"), testing::SizeIs(7));
  EXPECT_THAT(selected("all,-conv,conv2,-fc1"), ElementsAre("conv2", "fc2"));
}

TEST(SelectSites, TakesWhatStandsBehindAReluInAGraph) {
  Network n = branched();
  const auto selected = [&](std::string_view selection) { return names(n, select_sites(n, selection)); };
  EXPECT_THAT(selected("all"), ElementsAre("stem", "sum", "narrow", "both"));
  EXPECT_THAT(selected("add,concatenate"), ElementsAre("sum", "both"));
  n.all_sites = {"both", "stem"};
  connect(n);
  EXPECT_THAT(selected("all"), ElementsAre("stem", "both"));
  EXPECT_THAT(selected("all,narrow"), ElementsAre("stem", "narrow", "both"));
  EXPECT_THAT(selected("conv"), ElementsAre("stem", "narrow"));
  EXPECT_THAT(error_of([&] { selected("inner"); }),
              HasSubstr("node 'inner' of branched has no ReLU behind it and is never approximated: expected names from "
                        "stem, sum, narrow, both"));
  EXPECT_THAT(error_of([&] { selected("maximum"); }), HasSubstr("has no node behind a ReLU of kind 'maximum'"));
  n.nodes[2].name = "\u00fcber";
  EXPECT_THAT(selected("?ber"), ElementsAre("\u00fcber"));
}

TEST(SelectSites, RefusesWhatIsNoSite) {
  const auto text = [](std::string_view selection) {
    return error_of([&] { select_sites(make_recipe("alexnet").network, selection); });
  };
  EXPECT_THAT(text("conv1,conv7"), HasSubstr("conv7"));
  EXPECT_THAT(text("conv1,fc3"), HasSubstr("'fc3' of AlexNet makes the logits"));
  EXPECT_THAT(text("conv1,conv1"), HasSubstr("'conv1' is named twice"));
  EXPECT_THAT(text(""), HasSubstr("selects no site"));
  EXPECT_THAT(text("conv1,,conv2"), HasSubstr("has no node ''"));
  EXPECT_THAT(text("x*"), HasSubstr("has no node behind a ReLU that matches 'x*'"));
  EXPECT_THAT(text("Conv1"), HasSubstr("Conv1"));
  EXPECT_THAT(text("all,-conv7"), HasSubstr("has no node 'conv7'"));
  EXPECT_THAT(text("conv,-conv*"), HasSubstr("selects no site"));
  EXPECT_LT(text(std::string(100'000, 'x')).size(), 200u);
  EXPECT_THAT(text("conv7"), testing::EndsWith("expected names from conv1, conv2, conv3, conv4, conv5, fc1, fc2"));
  Network without = make_recipe("alexnet").network;
  for (Node& node : without.nodes) node.relu = false;
  EXPECT_THAT(error_of([&] { select_sites(without, "all"); }), HasSubstr("train it with ReLUs"));
  for (const std::string_view blank : {"conv1, conv2", "conv1,", " conv1"})
    EXPECT_THAT(text(blank), HasSubstr("expected names separated by commas, without blanks"));
}

TEST(SelectAttentionLayers, RefusesMapsThatLeave32Bits) {
  Network n;
  n.name = n.display_name = "wide";
  n.input = {1, 1, 2};
  append_layer(n, {.name = "plane", .in_channels = 1, .out_channels = 66'052});
  append_layer(n, {.name = "features", .in_channels = 66'052, .out_channels = 66'052});
  n.nodes[1].window.width = 2;
  connect_node(n, 1);
  append_layer(n, {.name = "logits", .in_channels = 66'052, .out_channels = 10, .relu = false});
  connect(n);
  EXPECT_THAT(error_of([&] { select_attention_layers(n, "all"); }),
              HasSubstr("node 'plane' of wide has 66052 channels: a map sums at most 66051 squared codes"));
  EXPECT_THAT(names(n, select_attention_layers(n, "features")), ElementsAre("features")) << "a position per channel";
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
  EXPECT_THAT(text("conv6"), HasSubstr("--attention-layers: AlexNet has no node 'conv6'"));
  EXPECT_THAT(text("conv3,conv3"), HasSubstr("twice"));
  EXPECT_THAT(text("fc3"), HasSubstr("makes the logits"));
  EXPECT_THAT(text(""), HasSubstr("empty"));
}

}  // namespace
}  // namespace triseg
