// A network as run and model files hold it, declared once.
#pragma once

#include "network/chain.hpp"
#include "network/network.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace triseg {

/// Calls visit(name, long_name, access) for each column of numbers beside name, operation and inputs;
/// access(node) is a reference to the member.
template <class Visit>
void visit_node_columns(const Visit& visit) {
#define TRISEG_MEMBER(member) [](auto& node) -> decltype(auto) { return (node.member); }
  visit("channels", "channels of its value", TRISEG_MEMBER(shape.channels));
  visit("height", "height of its value", TRISEG_MEMBER(shape.height));
  visit("width", "width of its value", TRISEG_MEMBER(shape.width));
  visit("window_height", "height of the window of a convolution, average or maximum; 1 of others",
        TRISEG_MEMBER(window.height));
  visit("window_width", "its width", TRISEG_MEMBER(window.width));
  visit("stride_y", "rows that the window moves by", TRISEG_MEMBER(window.stride_y));
  visit("stride_x", "columns that it moves by", TRISEG_MEMBER(window.stride_x));
  visit("dilation_y", "rows from one of its positions to the next", TRISEG_MEMBER(window.dilation_y));
  visit("dilation_x", "columns from one to the next", TRISEG_MEMBER(window.dilation_x));
  visit("pad_top", "rows of padding above", TRISEG_MEMBER(window.pad_top));
  visit("pad_left", "columns of padding on the left", TRISEG_MEMBER(window.pad_left));
  visit("pad_bottom", "rows of padding below", TRISEG_MEMBER(window.pad_bottom));
  visit("pad_right", "columns of padding on the right", TRISEG_MEMBER(window.pad_right));
  visit("ceil", "1 if the last window of a pool may hang over an edge", TRISEG_MEMBER(window.ceil));
  visit("groups", "groups of a convolution; 1 of others", TRISEG_MEMBER(groups));
  visit("count_padding", "1 if an average counts padding as zeros", TRISEG_MEMBER(count_padding));
  visit("relu", "1 if a ReLU stands behind it", TRISEG_MEMBER(relu));
#undef TRISEG_MEMBER
}

inline constexpr const char* inputs_long_name =
    "nodes that it reads, by row; -1 is the image, -2 behind the last of a row";
/// The inputs of all nodes: (nodes, the most that one has), rows filled up with -2.
struct InputColumns {
  std::vector<std::int32_t> values;
  std::size_t most = 0;
};
InputColumns input_columns(const Network& network);
void set_inputs(Network& network, std::span<const std::int32_t> values);

/// connect() for a network from a file, whose shapes must be those that it finds.
void connect_stored(Network& network);

/// The same of the chains that files held before: a row a layer, beside name and kind, which is conv or fc; access is a
/// pointer to the member.
template <class Visit>
void visit_chain_columns(const Visit& visit) {
  visit("in_channels", "channels that it takes; of a fully connected layer features", &ChainLayer::in_channels);
  visit("out_channels", "channels that it makes", &ChainLayer::out_channels);
  visit("kernel", "height and width of the kernel; 1 when fully connected", &ChainLayer::kernel);
  visit("stride", "stride of the kernel in both directions", &ChainLayer::stride);
  visit("padding", "zero padding on every side", &ChainLayer::padding);
  visit("pool", "height, width and stride of the max-pooling behind it; 1 is none", &ChainLayer::pool);
  visit("relu", "1 if a ReLU stands behind it, before pooling", &ChainLayer::relu);
}

/// Layers of these names and kinds. Throws Error for a kind that is none, or too few kinds.
std::vector<ChainLayer> chain_layers(const std::vector<std::string>& names, const std::vector<std::string>& kinds);

/// Fills in a network that has all but its nodes, and connects it.
void connect_chain(Network& network, std::span<const ChainLayer> layers);

}  // namespace triseg
