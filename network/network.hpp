// A network as data: values, and the operations that make them. Everything that runs a network, stores it or reports on
// it derives from here.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace triseg {

/// What a node does; docs/int8-contract.md has a section for each.
enum class Operation { convolution, average, maximum, add, multiply, concatenate, table, constant };

/// "convolution", "average", ...: as files and messages name it.
std::string_view operation_name(Operation operation);
/// Throws Error for a name that no operation has.
Operation parse_operation(std::string_view name);

/// One image of a value: (channels, height, width).
struct Shape {
  int channels = 0;
  int height = 1;
  int width = 1;

  int positions() const { return height * width; }
  int size() const { return channels * positions(); }
  bool operator==(const Shape&) const = default;
};

/// The window that a convolution or a pool moves over its input. Padding may differ on each side.
struct Window {
  int height = 1, width = 1;
  int stride_y = 1, stride_x = 1;
  int dilation_y = 1, dilation_x = 1;
  int pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  /// Pools only: a last window that hangs over the bottom or right edge counts, if it begins inside input or padding
  /// (ceil_mode of PyTorch, ceil_mode = 1 of ONNX).
  bool ceil = false;

  bool operator==(const Window&) const = default;
};

/// The number that Node::inputs has for the image.
inline constexpr int image_value = -1;

/// One operation and the value it makes, which has its name and its number.
struct Node {
  std::string name;
  Operation operation = Operation::convolution;
  std::vector<int> inputs;     ///< numbers of nodes before this one, or image_value
  Window window;               ///< convolution, average, maximum
  int groups = 1;              ///< convolution: input and output channels are dealt out to so many; depthwise: channels
  bool count_padding = false;  ///< average: padding counts as zeros; else only what lies inside the input does
  bool relu = false;           ///< a ReLU stands behind it: its lowest code is real zero, and it may be a site
  /// Of its value. Set by connect(); before it a convolution gives the channels, a constant all three.
  Shape shape;

  bool operator==(const Node&) const = default;
};

/// A graph. The description is complete: engines, files and logs need nothing else. The last node makes the logits.
struct Network {
  std::string name;          ///< "alexnet"
  std::string display_name;  ///< for people, "AlexNet"
  Shape input{3, 32, 32};
  int classes = 10;
  std::vector<Node> nodes;                     ///< in an order in which each comes after its inputs
  std::vector<std::string> all_sites;          ///< names that --sites all stands for; empty: all behind a ReLU
  std::vector<std::string> default_attention;  ///< names that --attention-layers default stands for

  /// The shape of a value: of the image for image_value.
  const Shape& shape(int value) const { return value == image_value ? input : nodes[value].shape; }
  /// The shape of a node's first input.
  const Shape& input_shape(const Node& node) const { return shape(node.inputs.front()); }
  /// The nodes that read a value, ascending, each once.
  std::vector<std::size_t> consumers(int value) const;
  /// True for a convolution in one group whose window is the whole plane of its input: a fully connected layer.
  bool fully_connected(const Node& node) const;
  /// Weights of one output channel of a convolution: input channels / groups * window.
  int fan_in(const Node& node) const;
  /// Output channels of all convolutions together.
  std::size_t channels() const;
  /// Multiply-accumulates of one image's forward; of one convolution.
  double macs() const;
  double macs(const Node& node) const;

  bool operator==(const Network&) const = default;
};

/// Fills in the shapes. Throws Error naming the node and what is wrong with it: sizes that are not positive or too
/// large, operands that do not fit, inputs that do not come before it, a value that nothing uses, a member that its
/// operation does not have, a pool's window that holds padding alone, a ReLU behind the logits or a constant, logits
/// that are not the classes, sites or attention layers that are no values behind a ReLU; and names that are empty,
/// longer than 200 bytes, hold a '/', ',', '*', '?', blank or control character or come twice.
void connect(Network& network);
/// Fills in the shape of one node whose inputs have theirs, with the checks that concern it alone.
void connect_node(Network& network, std::size_t node);

/// "conv" for a convolution, "fc" for a fully connected one, else the operation's name: the kind of a node, by which
/// --sites and --attention-layers select.
std::string_view kind_name(const Network& network, const Node& node);

/// What items of --sites and --attention-layers mean beside names and patterns: "all", "none", "default", and the
/// kinds. No node is called by one of the first three or "conv"; one called like another kind goes before the kind.
std::span<const std::string_view> selection_words();

/// The key of a site in the records of the Python original: `classifier.<name>.out` behind a fully connected layer,
/// else `block_output.<name>`.
std::string record_key(const Network& network, const Node& node);

/// The number of the node called `name`, or an Error that names the nodes there are. `purpose` says what it was for.
std::size_t node_index(const Network& network, std::string_view name, std::string_view purpose);

}  // namespace triseg
