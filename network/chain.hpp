// Chains of layers as graphs: what recipes of plain networks are written in, and what files held before networks were
// graphs.
#pragma once

#include "network/network.hpp"

#include <string>
#include <vector>

namespace triseg {

/// A convolution or matrix product, then an optional ReLU, then optional max-pooling.
struct ChainLayer {
  std::string name;
  bool fully_connected = false;
  int in_channels = 0;   ///< fully connected: input features, all channels and positions of what stands before
  int out_channels = 0;  ///< fully connected: output features
  int kernel = 1;        ///< side of the square window
  int stride = 1;
  int padding = 0;  ///< on every side
  int pool = 1;     ///< side and stride of the max-pooling behind the ReLU; 1 is none. A rest is dropped.
  bool relu = true;
};

/// The name of the node that pools behind a layer.
std::string pool_name(const std::string& layer);

/// Appends a layer to a network, whose last node it reads: a convolution of its name (a fully connected layer's window
/// is the whole plane of its input) and, where it pools, a maximum of its pool_name(). Sets their shapes. Throws Error
/// naming the layer if it does not take what stands before, or its sizes do not fit.
void append_layer(Network& network, const ChainLayer& layer);

}  // namespace triseg
