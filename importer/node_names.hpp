// Names of nodes, made of those of ONNX nodes.
#pragma once

#include "importer/onnx_graph.hpp"

#include <map>
#include <string>

namespace triseg {

/// "/layer1/layer1.0/conv1/Conv" becomes "layer1.0.conv1": without what repeats the operator or the name before, and
/// without characters that selections of nodes use; "conv", which selects a kind of nodes, becomes "conv_".
std::string node_name(const OnnxNode& node);

/// The name, with "_2", "_3", ... behind it if it is taken; `taken` counts how often each was wanted.
std::string unique_name(const std::string& name, std::map<std::string, int>& taken);

}  // namespace triseg
