#include "network/network.hpp"

#include "core/error.hpp"
#include "core/text.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <set>
#include <span>
#include <utility>

namespace triseg {
namespace {

constexpr std::array<std::pair<Operation, std::string_view>, 8> operations = {{{Operation::convolution, "convolution"},
                                                                               {Operation::average, "average"},
                                                                               {Operation::maximum, "maximum"},
                                                                               {Operation::add, "add"},
                                                                               {Operation::multiply, "multiply"},
                                                                               {Operation::concatenate, "concatenate"},
                                                                               {Operation::table, "table"},
                                                                               {Operation::constant, "constant"}}};

constexpr int largest_side = 4096, largest_channels = 1 << 20;
/// The most elements of a value, and of the weights of an output channel: far from the limits of an int.
constexpr std::int64_t most_elements = 1 << 28;

constexpr std::array<std::string_view, 12> words = {"all", "none",    "default", "conv",     "fc",          "average",
                                                    "add", "maximum", "table",   "multiply", "concatenate", "constant"};
constexpr std::size_t reserved_words = 4;  // that no node is called by

/// Names of networks become names of files, names of nodes keys and items of lists.
void check_name(std::string_view what, const std::string& name, std::string_view without) {
  constexpr std::size_t longest = 200;
  if (name.size() > longest)
    fail("{} '{}': expected at most {} bytes, found {}", what, printable(excerpt(name)), longest, name.size());
  const bool usable = !name.empty() && name != "." && name != ".." && printable(name) == name &&
                      name.find_first_of(without) == name.npos;
  if (usable) return;
  std::string characters;
  for (const char c : without) characters += fmt::format("{}'{}'", characters.empty() ? "" : ", ", c);
  fail("{} '{}': expected UTF-8 without {}{}control characters", what, printable(name), characters,
       characters.empty() ? "" : " and ");
}

void check_node_name(const Network& n, const std::string& name) {
  check_name(fmt::format("network {}: node name", n.name), name, "/,*? ");
  for (const std::string_view word : std::span(words).first(reserved_words))
    if (name == word)
      fail("network {}: node name '{}': expected another: --sites or --attention-layers means something else by it",
           n.name, name);
}

/// "an add", "a table".
std::string with_article(std::string_view noun) {
  return fmt::format("{} {}", noun.find_first_of("aeiou") == 0 ? "an" : "a", noun);
}

/// Output positions along one side, or 0 where the window does not fit.
int window_steps(int side, int extent, int stride, int before, int after, bool ceil) {
  const int free = side + before + after - extent;
  if (free < 0) return 0;
  int steps = (free + (ceil ? stride - 1 : 0)) / stride + 1;
  if (ceil && (steps - 1) * stride >= side + before) --steps;
  return steps;
}

/// True if each position of a window of `taps` has one inside the side.
bool all_touch(int side, int steps, int taps, int stride, int dilation, int before) {
  for (int step = 0; step < steps; ++step) {
    bool inside = false;
    for (int tap = 0; tap < taps && !inside; ++tap) {
      const int at = step * stride - before + tap * dilation;
      inside = at >= 0 && at < side;
    }
    if (!inside) return false;
  }
  return true;
}

/// Fills in one node's shape.
class Connection {
 public:
  Connection(const Network& n, Node& node) : n_(n), node_(node) {}

  void connect() {
    check_members();
    switch (node_.operation) {
      case Operation::convolution: convolution(); break;
      case Operation::average:
      case Operation::maximum: pool(); break;
      case Operation::add:
      case Operation::multiply: broadcast(); break;
      case Operation::concatenate: concatenate(); break;
      case Operation::table: node_.shape = n_.input_shape(node_); break;
      case Operation::constant:
        if (node_.relu) bad("a constant has no ReLU");
        break;
    }
    const Shape& s = node_.shape;
    if (s.channels < 1 || s.channels > largest_channels)
      bad(fmt::format("{} output channels: expected 1 to {}", s.channels, largest_channels));
    if (s.height < 1 || s.width < 1 || s.height > largest_side || s.width > largest_side)
      bad(fmt::format("a plane of {} x {}: expected sides from 1 to {}", s.height, s.width, largest_side));
    if (std::int64_t(s.channels) * s.height * s.width > most_elements)
      bad(fmt::format("{} output channels of {} x {}: more elements than {}", s.channels, s.height, s.width,
                      most_elements));
  }

 private:
  [[noreturn]] void bad(const std::string& what) const { fail("network {}: node {}: {}", n_.name, node_.name, what); }

  bool has_window() const {
    return node_.operation == Operation::convolution || node_.operation == Operation::average ||
           node_.operation == Operation::maximum;
  }

  void check_members() const {
    const std::string operation = with_article(operation_name(node_.operation));
    const bool two = node_.operation == Operation::add || node_.operation == Operation::multiply;
    const std::size_t expected = node_.operation == Operation::constant ? 0 : two ? 2 : 1;
    if (node_.operation == Operation::concatenate) {
      if (node_.inputs.empty()) bad("a concatenate node has no input");
    } else if (node_.inputs.size() != expected) {
      bad(fmt::format("{} node has {} inputs: expected {}", operation, node_.inputs.size(), expected));
    }
    const auto number = static_cast<int>(&node_ - n_.nodes.data());
    for (const int input : node_.inputs)
      if (input < image_value || input >= number)
        bad(fmt::format("its input {} does not come before it: it is node {}", input, number));
    if (!has_window() && node_.window != Window{}) bad(fmt::format("{} node has no window", operation));
    if (node_.operation != Operation::convolution && node_.groups != 1)
      bad(fmt::format("{} node has no groups", operation));
    if (node_.operation != Operation::average && node_.count_padding)
      bad(fmt::format("{} node counts no padding", operation));
    if (node_.operation == Operation::convolution && node_.window.ceil)
      bad("the windows of a convolution do not hang over an edge");
  }

  /// Sets height and width.
  void slide_window() {
    const Window& w = node_.window;
    const Shape& in = n_.input_shape(node_);
    const auto within = [](int value, int least) { return value >= least && value <= largest_side; };
    const bool sane = within(w.height, 1) && within(w.width, 1) && within(w.stride_y, 1) && within(w.stride_x, 1) &&
                      within(w.dilation_y, 1) && within(w.dilation_x, 1) && within(w.pad_top, 0) &&
                      within(w.pad_left, 0) && within(w.pad_bottom, 0) && within(w.pad_right, 0);
    const int extent_y = sane ? (w.height - 1) * w.dilation_y + 1 : 1;
    const int extent_x = sane ? (w.width - 1) * w.dilation_x + 1 : 1;
    const int most_y = std::max(extent_y, 2), most_x = std::max(extent_x, 2);
    Shape& out = node_.shape;
    out.height = sane ? window_steps(in.height, extent_y, w.stride_y, w.pad_top, w.pad_bottom, w.ceil) : 0;
    out.width = sane ? window_steps(in.width, extent_x, w.stride_x, w.pad_left, w.pad_right, w.ceil) : 0;
    if (out.height < 1 || out.width < 1 || w.pad_top >= most_y || w.pad_bottom >= most_y || w.pad_left >= most_x ||
        w.pad_right >= most_x)
      bad(
          fmt::format("a window of {} x {}, strides {} and {}, dilations {} and {}, padding {}, {}, {} and {} (top, "
                      "left, bottom, right) does not fit an input of {} x {}",
                      w.height, w.width, w.stride_y, w.stride_x, w.dilation_y, w.dilation_x, w.pad_top, w.pad_left,
                      w.pad_bottom, w.pad_right, in.height, in.width));
  }

  void convolution() {
    const Shape& in = n_.input_shape(node_);
    if (node_.groups < 1 || in.channels % node_.groups != 0 || node_.shape.channels % node_.groups != 0)
      bad(fmt::format("{} groups do not divide {} input and {} output channels", node_.groups, in.channels,
                      node_.shape.channels));
    slide_window();
    const std::int64_t weights = std::int64_t(in.channels / node_.groups) * node_.window.height * node_.window.width;
    if (weights > most_elements)
      bad(fmt::format("{} weights of an output channel: more than {}", weights, most_elements));
  }

  void pool() {
    const Shape& in = n_.input_shape(node_);
    node_.shape.channels = in.channels;
    slide_window();
    const Window& w = node_.window;
    if (!all_touch(in.height, node_.shape.height, w.height, w.stride_y, w.dilation_y, w.pad_top) ||
        !all_touch(in.width, node_.shape.width, w.width, w.stride_x, w.dilation_x, w.pad_left))
      bad(fmt::format("a window holds nothing of its input of {} x {}, padding alone", in.height, in.width));
  }

  void broadcast() {
    const Shape &a = n_.shape(node_.inputs[0]), &b = n_.shape(node_.inputs[1]);
    const auto fits = [](int x, int y) { return x == y || x == 1 || y == 1; };
    if (!fits(a.channels, b.channels) || !fits(a.height, b.height) || !fits(a.width, b.width))
      bad(fmt::format("operands of {} x {} x {} and {} x {} x {}: expected each size equal, or 1", a.channels, a.height,
                      a.width, b.channels, b.height, b.width));
    node_.shape = {std::max(a.channels, b.channels), std::max(a.height, b.height), std::max(a.width, b.width)};
  }

  void concatenate() {
    const Shape& first = n_.input_shape(node_);
    std::int64_t channels = 0;
    for (const int input : node_.inputs) {
      const Shape& s = n_.shape(input);
      if (s.height != first.height || s.width != first.width)
        bad(fmt::format("concatenates planes of {} x {} and {} x {}", first.height, first.width, s.height, s.width));
      channels += s.channels;
    }
    node_.shape = {static_cast<int>(std::min<std::int64_t>(channels, largest_channels + 1)), first.height, first.width};
  }

  const Network& n_;
  Node& node_;
};

/// The node of a list of the description.
void check_listed(const Network& n, const std::vector<std::string>& names, std::string_view list,
                  std::string_view item) {
  std::set<std::string> seen;
  for (const std::string& name : names) {
    const std::size_t index = node_index(n, name, list);
    if (index + 1 == n.nodes.size()) fail("network {}: {} {} makes the logits", n.name, item, name);
    if (!n.nodes[index].relu) fail("network {}: {} {} has no ReLU", n.name, item, name);
    if (!seen.insert(name).second) fail("network {}: {} {} is named twice", n.name, item, name);
  }
}

}  // namespace

std::string_view operation_name(Operation operation) {
  for (const auto& [each, name] : operations)
    if (each == operation) return name;
  fail("operation {} has no name", static_cast<int>(operation));
}

Operation parse_operation(std::string_view name) {
  std::string names;
  for (const auto& [operation, known] : operations) {
    if (name == known) return operation;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", known);
  }
  fail("unknown operation '{}': expected one of {}", name, names);
}

std::vector<std::size_t> Network::consumers(int value) const {
  std::vector<std::size_t> result;
  for (std::size_t i = 0; i < nodes.size(); ++i)
    if (std::find(nodes[i].inputs.begin(), nodes[i].inputs.end(), value) != nodes[i].inputs.end()) result.push_back(i);
  return result;
}

bool Network::fully_connected(const Node& node) const {
  if (node.operation != Operation::convolution || node.groups != 1) return false;
  const Shape& in = input_shape(node);
  const Window& w = node.window;
  const bool padded = w.pad_top > 0 || w.pad_left > 0 || w.pad_bottom > 0 || w.pad_right > 0;
  return w.height == in.height && w.width == in.width && !padded;
}

int Network::fan_in(const Node& node) const {
  return input_shape(node).channels / node.groups * node.window.height * node.window.width;
}

std::size_t Network::channels() const {
  std::size_t sum = 0;
  for (const Node& node : nodes)
    if (node.operation == Operation::convolution) sum += node.shape.channels;
  return sum;
}

double Network::macs(const Node& node) const {
  return double(node.shape.positions()) * node.shape.channels * fan_in(node);
}

double Network::macs() const {
  double total = 0;
  for (const Node& node : nodes)
    if (node.operation == Operation::convolution) total += macs(node);
  return total;
}

void connect_node(Network& n, std::size_t node) {
  check_node_name(n, n.nodes[node].name);
  Connection(n, n.nodes[node]).connect();
}

void connect(Network& n) {
  check_name("network name", n.name, "/,");
  if (!n.display_name.empty()) check_name(fmt::format("network {}: display name", n.name), n.display_name, "");
  if (n.input.channels < 1 || n.input.channels > 1024 || n.input.height < 1 || n.input.height > largest_side ||
      n.input.width < 1 || n.input.width > largest_side ||
      std::int64_t(n.input.channels) * n.input.height * n.input.width > most_elements || n.classes < 1)
    fail(
        "network {}: an input of {} x {} x {} and {} classes: expected sizes of at least 1 and no more elements than "
        "{}",
        n.name, n.input.channels, n.input.height, n.input.width, n.classes, most_elements);
  if (n.nodes.empty()) fail("network {}: expected at least one node", n.name);
  std::set<std::string> names;
  std::vector<bool> used(n.nodes.size() + 1);  // by number + 1, the image first
  for (Node& node : n.nodes) {
    if (!names.insert(node.name).second) fail("network {}: two nodes are called '{}'", n.name, node.name);
    connect_node(n, &node - n.nodes.data());
    for (const int input : node.inputs) used[input + 1] = true;
  }
  if (!used[0]) fail("network {}: nothing uses the image", n.name);
  for (std::size_t i = 0; i + 1 < n.nodes.size(); ++i)
    if (!used[i + 1]) fail("network {}: node {}: nothing uses it", n.name, n.nodes[i].name);
  const Node& last = n.nodes.back();
  if (last.relu) fail("network {}: node {}: expected no ReLU behind the logits", n.name, last.name);
  if (last.shape.size() != n.classes)
    fail("network {}: makes {} logits for {} classes", n.name, last.shape.size(), n.classes);
  check_listed(n, n.all_sites, "sites", "site");
  check_listed(n, n.default_attention, "default attention layers", "attention layer");
}

std::span<const std::string_view> selection_words() { return words; }

std::string_view kind_name(const Network& n, const Node& node) {
  if (node.operation != Operation::convolution) return operation_name(node.operation);
  return n.fully_connected(node) ? "fc" : "conv";
}

std::string record_key(const Network& n, const Node& node) {
  return n.fully_connected(node) ? "classifier." + node.name + ".out" : "block_output." + node.name;
}

std::size_t node_index(const Network& n, std::string_view name, std::string_view purpose) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < n.nodes.size(); ++i) {
    if (n.nodes[i].name == name) return i;
    names.push_back(n.nodes[i].name);
  }
  fail("{}: {} has no node '{}': expected one of {}", purpose, n.display_name, name, fmt::join(names, ", "));
}

}  // namespace triseg
