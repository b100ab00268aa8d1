// Networks that triseg train can make: their description, and what training alone needs to know of them. The shipped
// ones are the files of networks/, which are compiled in; recipe_file.hpp reads others.
#pragma once

#include "network/network.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace triseg {

/// How a node is trained.
struct LayerTraining {
  bool batch_norm = false;  ///< behind a convolution; folded into weights and bias before quantization
  double dropout = 0.0;     ///< share of the node's outputs, in training only

  bool operator==(const LayerTraining&) const = default;
};

struct Recipe {
  Network network;
  std::vector<LayerTraining> training;  // one per network.nodes

  bool operator==(const Recipe&) const = default;
};

/// The names make_recipe knows, in the order of the documentation.
std::vector<std::string> recipe_names();

/// True if make_recipe knows the name.
bool is_recipe(std::string_view name);

/// The recipe called `name` for so many classes, its shapes connected. Throws Error naming it and the known ones.
/// For training and for readers of files that were written before they carried their network; nobody else looks a name
/// up.
Recipe make_recipe(std::string_view name, int classes = 10);

/// A SHA-256 of all that a training depends on: nodes, input, classes, batch norm and dropout.
std::string digest(const Recipe& recipe);

}  // namespace triseg
