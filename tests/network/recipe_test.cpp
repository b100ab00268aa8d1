#include "network/recipe_file.hpp"

#include "core/error.hpp"
#include "network/chain.hpp"
#include "network/problem.hpp"
#include "tests/error_of.hpp"

#include <gmock/gmock.h>

namespace triseg {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// A small recipe, with these lines as its nodes.
std::string document(const std::string& nodes, const std::string& top = "") {
  return "name = \"small\"\n" + top + "nodes = [\n" + nodes + "]\n";
}

const std::string plain =
    "  {name = \"conv1\", channels = 4, kernel = 3, padding = 1, batch_norm = true, relu = true, pool = 2},\n"
    "  {name = \"fc\", op = \"fc\", channels = \"classes\"},\n";

std::vector<std::string> names(const Network& n, const std::vector<std::size_t>& nodes) {
  std::vector<std::string> result;
  for (const std::size_t i : nodes) result.push_back(n.nodes[i].name);
  return result;
}

std::vector<std::string> site_names(const Network& n) { return names(n, select_sites(n, "all")); }
std::vector<std::string> attention_names(const Network& n) { return names(n, select_attention_layers(n, "default")); }

const Node& node(const Network& n, const std::string& name) { return n.nodes[node_index(n, name, "test")]; }

TEST(RecipeFile, ANodeALine) {
  const Recipe recipe = parse_recipe(document(plain, "attention = [\"conv1\"]\n"), "here", 7);
  const Network& n = recipe.network;
  EXPECT_EQ(n.name, "small");
  EXPECT_EQ(n.display_name, "small");
  EXPECT_EQ(n.classes, 7);
  ASSERT_EQ(n.nodes.size(), 3u);
  EXPECT_EQ(n.nodes[0].shape, (Shape{4, 32, 32}));
  EXPECT_TRUE(recipe.training[0].batch_norm);
  EXPECT_EQ(n.nodes[1].name, pool_name("conv1"));
  EXPECT_EQ(n.nodes[1].operation, Operation::maximum);
  EXPECT_EQ(n.nodes[1].shape, (Shape{4, 16, 16}));
  EXPECT_TRUE(n.fully_connected(n.nodes[2]));
  EXPECT_EQ(n.nodes[2].shape, (Shape{7, 1, 1}));
  EXPECT_THAT(attention_names(n), ElementsAre("conv1"));
}

TEST(RecipeFile, EveryKeyReachesItsNode) {
  const Recipe recipe = parse_recipe(document(R"(
  {name = "a", channels = 8, kernel = [3, 5], stride = [2, 1], dilation = [1, 2], padding = [1, 2, 0, 3], groups = 2},
 {name = "b", inputs = "image", op = "average", kernel = 3, stride = 2, padding = 1, ceil = true, count_padding = true},
  {name = "c", op = "depthwise", kernel = 3, padding = [0, 1], dropout = 0.25},
  {name = "d", inputs = "c", channels = 4, kernel = 1},
  {name = "e", inputs = ["c", "d"], op = "concatenate"},
  {name = "f", op = "average"},
  {name = "g", inputs = ["e", "f"], op = "multiply", relu = true},
  {name = "h", inputs = ["g", "e"], op = "add"},
  {name = "i", inputs = "a", op = "average"},
  {name = "j", op = "fc", channels = 8, batch_norm = true},
  {name = "k", inputs = ["h", "j"], op = "multiply"},
  {name = "l", op = "fc", channels = "classes"},
)",
                                              "input = [4, 20, 30]\ndisplay_name = \"Odd\"\nsites = [\"g\"]\n"),
                                     "here");
  const Network& n = recipe.network;
  EXPECT_EQ(n.display_name, "Odd");
  EXPECT_EQ(n.input, (Shape{4, 20, 30}));
  EXPECT_THAT(site_names(n), ElementsAre("g"));
  const Window expected{
      .height = 3, .width = 5, .stride_y = 2, .dilation_x = 2, .pad_top = 1, .pad_left = 2, .pad_right = 3};
  EXPECT_EQ(node(n, "a").window, expected);
  EXPECT_EQ(node(n, "a").groups, 2);
  EXPECT_THAT(node(n, "b").inputs, ElementsAre(image_value));
  EXPECT_TRUE(node(n, "b").count_padding && node(n, "b").window.ceil);
  EXPECT_EQ(node(n, "b").shape, (Shape{4, 11, 16}));
  EXPECT_EQ(node(n, "c").groups, 4);
  EXPECT_EQ(recipe.training[node_index(n, "c", "test")].dropout, 0.25);
  EXPECT_EQ(node(n, "e").shape.channels, 8);
  EXPECT_EQ(node(n, "f").shape, (Shape{8, 1, 1})) << "no kernel: the whole plane";
  EXPECT_EQ(node(n, "g").operation, Operation::multiply);
  EXPECT_TRUE(recipe.training[node_index(n, "j", "test")].batch_norm);
}

TEST(RecipeFile, ErrorsNameThePlace) {
  const auto error = [](const std::string& nodes, const std::string& top = "") {
    return error_of([&] { parse_recipe(document(nodes, top), "my.toml"); });
  };
  const std::string fc = "{name = \"fc\", op = \"fc\", channels = \"classes\"},\n";
  const auto of_node = [&](const std::string& keys) { return error("{name = \"x\", " + keys + "},\n" + fc); };
  EXPECT_THAT(error(plain, "colour = 1\n"), HasSubstr("my.toml: line 2: unknown key 'colour': expected one of name"));
  EXPECT_THAT(error(plain, "[other]\n"), HasSubstr("my.toml"));
  EXPECT_THAT(of_node("kernal = 3"), HasSubstr("my.toml: node x: line 3: unknown key 'kernal' of op 'conv'"));
  EXPECT_THAT(of_node("op = \"add\", kernel = 3"), HasSubstr("unknown key 'kernel' of op 'add'"));
  EXPECT_THAT(of_node("op = \"softmax\""), HasSubstr("line 3: node x: unknown op 'softmax': expected one of conv,"));
  EXPECT_THAT(of_node("op = \"table\""), HasSubstr("unknown op 'table'"));
  EXPECT_THAT(of_node("kernel = 3"), HasSubstr("line 3: node x: expected the key 'channels'"));
  EXPECT_THAT(of_node("channels = 3"), HasSubstr("line 3: node x: expected the key 'kernel'"));
  EXPECT_THAT(of_node("channels = 3, kernel = 1.5"), HasSubstr("key 'kernel': expected a whole number"));
  EXPECT_THAT(of_node("channels = 3, kernel = [1, 2, 3]"), HasSubstr("found a list of 3"));
  EXPECT_THAT(of_node("channels = \"many\", kernel = 1"), HasSubstr("or \"classes\", found the text 'many'"));
  EXPECT_THAT(of_node("channels = 3, kernel = 1, relu = 1"), HasSubstr("key 'relu': expected true or false, found"));
  EXPECT_THAT(of_node("channels = 3, kernel = 1, dropout = 1"), HasSubstr("key 'dropout': expected a number of at"));
  EXPECT_THAT(of_node("channels = 99999999999999, kernel = 1"),
              HasSubstr("line 3: key 'channels': 99999999999999 is too"));
  EXPECT_THAT(of_node("channels = -5, kernel = 1"), HasSubstr("node x: -5 output channels"));
  EXPECT_THAT(of_node("channels = 3, kernel = 33"), HasSubstr("line 3: network small: node x: a window of 33 x 33"));
  EXPECT_THAT(of_node("op = \"add\""), HasSubstr("line 3: network small: node x: an add node has 1 inputs"));
  EXPECT_THAT(of_node("inputs = \"y\", channels = 3, kernel = 1"), HasSubstr("no node before it is called 'y'"));
  EXPECT_THAT(of_node("inputs = [], channels = 3, kernel = 1"), HasSubstr("expected an input"));
  EXPECT_THAT(of_node("op = \"maximum\", relu = true"), HasSubstr("a maximum has no ReLU: put it on the node before"));
  EXPECT_THAT(error("{channels = 3},\n"), HasSubstr("my.toml: line 3: expected the key 'name', the node's"));
  EXPECT_THAT(error("{name = \"image\", channels = 3, kernel = 1},\n"), HasSubstr("this one is the image's"));
  EXPECT_THAT(error(plain, "attention = [\"conv9\"]\n"), HasSubstr("my.toml: default attention layers: small has no"));
  EXPECT_THAT(error("{name = \"fc\", op = \"fc\", channels = 3},\n"), HasSubstr("makes 3 logits for 10 classes"));
  EXPECT_THAT(error(fc), HasSubstr("my.toml: no node has relu = true"));
  EXPECT_THAT(error("{name = \"conv 1\", channels = 3, kernel = 1},\n"), HasSubstr("node name 'conv 1': expected"));
  const auto shown = [&](const std::string& name) { return error(plain, "display_name = \"" + name + "\"\n"); };
  for (const char* hidden : {"\\u001b[2J", "\\u009b2J", "\\u202e", "\\u2066", "\\u2028"})
    EXPECT_THAT(shown(hidden), HasSubstr("network small: display name '\\x")) << hidden;
  EXPECT_THAT(shown(std::string(201, 'a')), HasSubstr("expected at most 200 bytes, found 201"));
  EXPECT_THAT(error(""), HasSubstr("my.toml"));
  EXPECT_THAT(error_of([] { parse_recipe("nodes = 3\n", "my.toml"); }), HasSubstr("expected a list of tables"));
  EXPECT_THAT(error_of([] { parse_recipe("name = \"x\"\n", "my.toml"); }), HasSubstr("expected nodes = [...]"));
  EXPECT_THAT(error_of([] { read_recipe("--model", "/nowhere.toml"); }), HasSubstr("--model: /nowhere.toml: "));
}

TEST(RecipeFile, DigestsDifferWithWhatTrainingDependsOn) {
  const auto of = [](const std::string& text) { return digest(parse_recipe(text, "here")); };
  const std::string text = document(plain);
  EXPECT_EQ(of(text), of(document(plain, "attention = [\"conv1\"]\ndisplay_name = \"Small\"\n")));
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = text;
    return of(changed.replace(changed.find(from), from.size(), to));
  };
  EXPECT_NE(of(text), with("batch_norm = true", "batch_norm = false"));
  EXPECT_NE(of(text), with("pool = 2", "pool = 2, dropout = 0.1"));
  EXPECT_NE(of(text), with("kernel = 3, padding = 1", "kernel = 5, padding = 2"));
}

TEST(Recipes, NinHasNineSitesAndAveragesItsLogits) {
  const Network n = make_recipe("nin").network;
  EXPECT_THAT(site_names(n),
              ElementsAre("conv1", "cccp1", "cccp2", "conv2", "cccp3", "cccp4", "conv3", "cccp5", "cccp6"));
  EXPECT_THAT(attention_names(n), ElementsAre("conv1", "conv2", "conv3"));
  EXPECT_EQ(node(n, "cccp2").shape, (Shape{96, 32, 32}));
  EXPECT_EQ(node(n, "conv2").shape, (Shape{192, 16, 16}));
  EXPECT_EQ(node(n, "cccp6").shape, (Shape{10, 8, 8}));
  EXPECT_EQ(n.nodes.back().operation, Operation::average);
}

TEST(Recipes, MobileNetHasThirteenPairs) {
  const Network n = make_recipe("mobilenetv1").network;
  EXPECT_THAT(site_names(n), testing::SizeIs(27));
  EXPECT_THAT(attention_names(n), ElementsAre("dw4", "dw8", "dw12"));
  EXPECT_EQ(node(n, "conv1").shape, (Shape{32, 32, 32}));
  EXPECT_EQ(node(n, "pw13").shape, (Shape{1024, 2, 2}));
  for (const Node& each : n.nodes) {
    if (each.name.starts_with("dw")) {
      EXPECT_EQ(each.groups, each.shape.channels) << each.name;
    } else if (each.name.starts_with("pw")) {
      EXPECT_EQ(each.window, Window{}) << each.name;
    }
  }
}

TEST(Recipes, SqueezeNetHasItsFiresAsSites) {
  const Network n = make_recipe("squeezenet").network;
  EXPECT_THAT(site_names(n),
              ElementsAre("conv1", "fire2", "fire3", "fire4", "fire5", "fire6", "fire7", "fire8", "fire9"));
  EXPECT_THAT(attention_names(n), ElementsAre("fire4", "fire6", "fire8"));
  EXPECT_EQ(node(n, "fire4").shape, (Shape{256, 16, 16}));
  EXPECT_EQ(node(n, "fire8").shape, (Shape{512, 8, 8}));
  EXPECT_EQ(node(n, "fire9").shape, (Shape{512, 4, 4}));
  EXPECT_EQ(node(n, "conv10").shape, (Shape{10, 4, 4}));
}

TEST(Recipes, ResNetsHaveASiteForEveryReLU) {
  const Network small = make_recipe("resnet8").network;
  EXPECT_THAT(site_names(small),
              ElementsAre("conv1", "block1.conv1", "block1", "block2.conv1", "block2", "block3.conv1", "block3"));
  EXPECT_THAT(attention_names(small), ElementsAre("block1", "block2", "block3"));
  EXPECT_EQ(node(small, "block3").shape, (Shape{64, 8, 8}));
  // By hand: positions x outputs x fan-in, a block a line; the published 12.5 million.
  EXPECT_DOUBLE_EQ(small.macs(), 1024.0 * 16 * 27 + 2 * 1024.0 * 16 * 144 + 256.0 * 32 * (144 + 288 + 16) +
                                     64.0 * 64 * (288 + 576 + 32) + 640);
  const Network n = make_recipe("resnet20").network;
  EXPECT_THAT(site_names(n), testing::SizeIs(19));
  EXPECT_THAT(attention_names(n), ElementsAre("block1_3", "block2_3", "block3_3"));
  EXPECT_EQ(node(n, "block2_1.shortcut").shape, (Shape{32, 16, 16}));
}

}  // namespace
}  // namespace triseg
