// The numbers of a layer as run and model files hold them, declared once.
#pragma once

#include "network/network.hpp"

namespace triseg {

/// Calls visit(name, long_name, access) for each column beside name and kind; access is a pointer to
/// the member of Layer.
template <class Visit>
void visit_layer_columns(const Visit& visit) {
  visit("in_channels", "channels that it takes; of a fully connected layer features", &Layer::in_channels);
  visit("out_channels", "channels that it makes", &Layer::out_channels);
  visit("kernel", "height and width of the kernel; 1 when fully connected", &Layer::kernel);
  visit("stride", "stride of the kernel in both directions", &Layer::stride);
  visit("padding", "zero padding on every side", &Layer::padding);
  visit("pool", "height, width and stride of the max-pooling behind it; 1 is none", &Layer::pool);
  visit("relu", "1 if a ReLU stands behind it, before pooling", &Layer::relu);
}

}  // namespace triseg
