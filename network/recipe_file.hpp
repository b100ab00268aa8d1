// Recipes as TOML files, a node a line; docs/adding-a-network.md describes the format.
#pragma once

#include "network/recipes.hpp"

#include <string>
#include <string_view>

namespace triseg {

/// The recipe in a document, for so many classes, its shapes connected. `place` stands for the document in messages.
/// Throws Error naming place, line, node and key for what is no recipe: unknown keys, keys that an operation does not
/// have, values of another type, inputs that no node before has the name of, whatever connect() refuses, and a network
/// without a ReLU.
Recipe parse_recipe(const std::string& document, const std::string& place, int classes = 10);

/// The same of the file that `option` names.
Recipe read_recipe(std::string_view option, const std::string& path, int classes = 10);

}  // namespace triseg
