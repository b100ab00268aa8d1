#include "network/recipes.hpp"

#include "core/error.hpp"
#include "network/chain.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

namespace triseg {
namespace {

/// Puts a recipe together layer by layer.
class Builder {
 public:
  Builder(std::string name, std::string display_name, int classes) {
    recipe_.network.classes = classes;
    recipe_.network.name = std::move(name);
    recipe_.network.display_name = std::move(display_name);
  }

  void conv(std::string name, int in, int out, int kernel, int stride, int padding, int pool, bool batch_norm) {
    ChainLayer layer;
    layer.name = std::move(name);
    layer.in_channels = in;
    layer.out_channels = out;
    layer.kernel = kernel;
    layer.stride = stride;
    layer.padding = padding;
    layer.pool = pool;
    add(layer, {.batch_norm = batch_norm});
  }

  void fc(std::string name, int in, int out, double dropout = 0.0, bool relu = true) {
    ChainLayer layer;
    layer.name = std::move(name);
    layer.fully_connected = true;
    layer.in_channels = in;
    layer.out_channels = out;
    layer.relu = relu;
    add(layer, {.dropout = dropout});
  }

  /// The last layer: no ReLU, never approximated.
  void logits(std::string name, int in) { fc(std::move(name), in, recipe_.network.classes, 0.0, false); }

  Recipe finish(std::vector<std::string> attention) {
    recipe_.network.default_attention = std::move(attention);
    connect(recipe_.network);
    return std::move(recipe_);
  }

 private:
  void add(const ChainLayer& layer, LayerTraining training) {
    append_layer(recipe_.network, layer);
    recipe_.training.push_back(training);
    recipe_.training.resize(recipe_.network.nodes.size());  // a pool has nothing to train
  }

  Recipe recipe_;
};

Recipe alexnet(int classes) {
  Builder b("alexnet", "AlexNet", classes);
  b.conv("conv1", 3, 64, 5, 2, 2, 2, true);
  b.conv("conv2", 64, 192, 5, 1, 2, 2, true);
  b.conv("conv3", 192, 384, 3, 1, 1, 1, true);
  b.conv("conv4", 384, 256, 3, 1, 1, 1, true);
  b.conv("conv5", 256, 256, 3, 1, 1, 2, true);
  b.fc("fc1", 1024, 512, 0.5);
  b.fc("fc2", 512, 256, 0.5);
  b.logits("fc3", 256);
  return b.finish({"conv3", "conv4", "fc1"});
}

Recipe lenet5(int classes) {
  Builder b("lenet5", "LeNet-5", classes);
  b.conv("conv1", 3, 6, 5, 1, 0, 2, false);
  b.conv("conv2", 6, 16, 5, 1, 0, 2, false);
  b.fc("fc1", 400, 120);
  b.fc("fc2", 120, 84);
  b.logits("fc3", 84);
  return b.finish({"conv1", "conv2"});
}

/// Blocks of 3 x 3 convolutions, `depth` of them each, and pooling behind every block; one fully connected layer makes
/// the logits.
Recipe vgg(std::string name, std::string display_name, const std::array<int, 5>& depth,
           std::vector<std::string> attention, int classes) {
  Builder b(std::move(name), std::move(display_name), classes);
  constexpr std::array<int, 5> widths = {64, 128, 256, 512, 512};
  int channels = 3;
  for (std::size_t block = 0; block < depth.size(); ++block) {
    for (int i = 1; i <= depth[block]; ++i) {
      b.conv(fmt::format("conv{}_{}", block + 1, i), channels, widths[block], 3, 1, 1, i == depth[block] ? 2 : 1, true);
      channels = widths[block];
    }
  }
  b.logits("fc", channels);
  return b.finish(std::move(attention));
}

Recipe vgg16(int classes) {
  return vgg("vgg16", "VGG-16", {2, 2, 3, 3, 3}, {"conv3_1", "conv4_1", "conv5_1"}, classes);
}
Recipe vgg19(int classes) {
  return vgg("vgg19", "VGG-19", {2, 2, 4, 4, 4}, {"conv3_2", "conv4_2", "conv5_2"}, classes);
}

constexpr std::pair<std::string_view, Recipe (*)(int classes)> recipes[] = {
    {"alexnet", alexnet}, {"vgg16", vgg16}, {"vgg19", vgg19}, {"lenet5", lenet5}};

}  // namespace

std::vector<std::string> recipe_names() {
  std::vector<std::string> names;
  for (const auto& [name, make] : recipes) names.emplace_back(name);
  return names;
}

bool is_recipe(std::string_view name) {
  return std::any_of(std::begin(recipes), std::end(recipes), [&](const auto& each) { return each.first == name; });
}

Recipe make_recipe(std::string_view name, int classes) {
  for (const auto& [known, make] : recipes)
    if (known == name) return make(classes);
  fail("unknown model '{}': expected one of {}", name, fmt::join(recipe_names(), ", "));
}

}  // namespace triseg
