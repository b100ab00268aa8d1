#include "network/recipes.hpp"

#include "core/error.hpp"
#include "core/sha256.hpp"
#include "network/recipe_file.hpp"
#include "network/shipped_recipes.hpp"

#include <algorithm>
#include <iterator>

namespace triseg {

std::vector<std::string> recipe_names() {
  std::vector<std::string> names;
  for (const auto& [name, text] : shipped_recipes) names.emplace_back(name);
  return names;
}

bool is_recipe(std::string_view name) {
  return std::any_of(std::begin(shipped_recipes), std::end(shipped_recipes),
                     [&](const auto& each) { return each.first == name; });
}

Recipe make_recipe(std::string_view name, int classes) {
  for (const auto& [known, text] : shipped_recipes)
    if (known == name) return parse_recipe(std::string(text), fmt::format("networks/{}.toml", name), classes);
  fail("unknown model '{}': expected one of {}", name, fmt::join(recipe_names(), ", "));
}

std::string digest(const Recipe& recipe) {
  const Network& n = recipe.network;
  std::string text = fmt::format("{} {} {} {}\n", n.input.channels, n.input.height, n.input.width, n.classes);
  for (std::size_t i = 0; i < n.nodes.size(); ++i) {
    const Node& node = n.nodes[i];
    const Window& w = node.window;
    text += fmt::format("{} {} {} relu {} groups {} channels {} padding counts {}\n", node.name,
                        operation_name(node.operation), fmt::join(node.inputs, ","), node.relu, node.groups,
                        node.shape.channels, node.count_padding);
    text += fmt::format("{} {} {} {} {} {} {} {} {} {} {}\n", w.height, w.width, w.stride_y, w.stride_x, w.dilation_y,
                        w.dilation_x, w.pad_top, w.pad_left, w.pad_bottom, w.pad_right, w.ceil);
    text += fmt::format("batch norm {} dropout {}\n", recipe.training[i].batch_norm, recipe.training[i].dropout);
  }
  return sha256_hex(text);
}

}  // namespace triseg
