// The numbers of a layer as run and model files hold them, declared once.
#pragma once

#include "network/network.hpp"

namespace triseg {

/// Calls visit(name, long_name, access) for each column beside name and kind; access(layer) is a reference to the
/// number.
template <class Visit>
void visit_layer_columns(const Visit& visit) {
  visit(
      "in_channels", "channels that it takes; of a fully connected layer features",
      [](auto& l) -> auto& { return l.in_channels; });
  visit(
      "out_channels", "channels that it makes", [](auto& l) -> auto& { return l.out_channels; });
  visit(
      "kernel", "height and width of the kernel; 1 when fully connected", [](auto& l) -> auto& { return l.kernel; });
  visit(
      "stride", "stride of the kernel in both directions", [](auto& l) -> auto& { return l.stride; });
  visit(
      "padding", "zero padding on every side", [](auto& l) -> auto& { return l.padding; });
  visit(
      "pool", "height, width and stride of the max-pooling behind it; 1 is none",
      [](auto& l) -> auto& { return l.pool; });
  visit(
      "relu", "1 if a ReLU stands behind it, before pooling", [](auto& l) -> auto& { return l.relu; });
}

}  // namespace triseg
