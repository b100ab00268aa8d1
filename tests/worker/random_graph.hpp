// Graphs of every operation, by hand and at random, for tests.
#pragma once

#include "core/error.hpp"
#include "tests/worker/random_network.hpp"

#include <optional>
#include <string>
#include <vector>

namespace triseg::testing {

/// Puts a graph together node by node; each function returns the number of the new value.
class GraphBuilder {
 public:
  GraphBuilder(std::string name, Shape input) {
    n_.name = n_.display_name = std::move(name);
    n_.input = input;
  }

  int convolution(int input, int channels, Window window, bool relu = true, int groups = 1) {
    Node node = make(Operation::convolution, {input}, relu);
    node.window = window;
    node.groups = groups;
    node.shape.channels = channels;
    return add(node);
  }
  int average(int input, Window window, bool count_padding = false, bool relu = false) {
    Node node = make(Operation::average, {input}, relu);
    node.window = window;
    node.count_padding = count_padding;
    return add(node);
  }
  int maximum(int input, Window window) {
    Node node = make(Operation::maximum, {input}, input != image_value && n_.nodes[input].relu);
    node.window = window;
    return add(node);
  }
  int constant(Shape shape) {
    Node node = make(Operation::constant, {}, false);
    node.shape = shape;
    return add(node);
  }
  /// Of the other operations.
  int operation(Operation operation, std::vector<int> inputs, bool relu = true) {
    return add(make(operation, std::move(inputs), relu));
  }

  const Shape& shape(int value) const { return n_.shape(value); }
  int nodes() const { return static_cast<int>(n_.nodes.size()); }

  /// The means of all values that nothing reads, and the logits of them. Every third node behind a ReLU has an
  /// attention map.
  Network finish(int classes) {
    std::vector<int> open;
    for (int i = 0; i < nodes(); ++i)
      if (n_.consumers(i).empty()) open.push_back(i);
    std::vector<int> means;
    for (const int value : open)
      means.push_back(average(value, {.height = shape(value).height, .width = shape(value).width}));
    const int all = means.size() == 1 ? means[0] : operation(Operation::concatenate, means, false);
    convolution(all, classes, {}, false);
    n_.classes = classes;
    int behind_relu = 0;
    for (const Node& node : n_.nodes)
      if (node.relu && behind_relu++ % 3 == 0) n_.default_attention.push_back(node.name);
    connect(n_);
    return n_;
  }

 private:
  Node make(Operation operation, std::vector<int> inputs, bool relu) const {
    Node node;
    node.name = fmt::format("{}{}", operation_name(operation), n_.nodes.size());
    node.operation = operation;
    node.inputs = std::move(inputs);
    node.relu = relu;
    return node;
  }
  int add(Node node) {
    n_.nodes.push_back(std::move(node));
    connect_node(n_, n_.nodes.size() - 1);
    return nodes() - 1;
  }

  Network n_;
};

/// A graph of `size` random nodes and those that lead to its logits: skips, branches, broadcasts, odd sizes.
inline Network random_graph(std::uint64_t seed, int size = 14) {
  Random random(seed);
  const auto coin = [&] { return random.integer(0, 1) == 1; };
  GraphBuilder g(fmt::format("graph{}", seed), {random.integer(1, 5), random.integer(7, 12), random.integer(5, 11)});
  /// Sides up to 3, as many strides, dilations and paddings as fit.
  const auto window = [&](const Shape& in, bool pool) {
    Window w;
    w.height = random.integer(1, std::min(3, in.height));
    w.width = random.integer(1, std::min(3, in.width));
    w.dilation_y = (w.height - 1) * 2 + 1 <= in.height ? random.integer(1, 2) : 1;
    w.dilation_x = (w.width - 1) * 2 + 1 <= in.width ? random.integer(1, 2) : 1;
    w.stride_y = in.height > 4 ? random.integer(1, 2) : 1;
    w.stride_x = in.width > 4 ? random.integer(1, 2) : 1;
    if (coin()) {
      w.pad_top = random.integer(0, w.height / 2);
      w.pad_bottom = random.integer(0, w.height / 2);
      w.pad_left = random.integer(0, w.width / 2);
      w.pad_right = random.integer(0, w.width / 2);
    }
    w.ceil = pool && coin();
    return w;
  };
  /// A convolution that keeps the plane.
  const auto same_plane = [&](int input, int channels, bool relu) {
    const int h = random.integer(0, 1), w = random.integer(0, 1);
    return g.convolution(input, channels, {2 * h + 1, 2 * w + 1, 1, 1, 1, 1, h, w, h, w}, relu);
  };
  int last = g.convolution(image_value, random.integer(3, 12), {3, 3, 1, 1, 1, 1, 1, 1, 1, 1});
  while (g.nodes() < size) {
    const int from = random.integer(0, 3) == 0 ? random.integer(image_value, last) : last;
    const Shape in = g.shape(from);
    switch (random.integer(0, 9)) {
      case 0:
      case 1: last = g.convolution(from, random.integer(1, 20), window(in, false), coin()); break;
      case 2: last = g.convolution(from, in.channels, window(in, false), coin(), in.channels); break;
      case 3:
        last = g.convolution(from, 2 * in.channels, window(in, false), coin(), in.channels % 2 == 0 ? 2 : 1);
        break;
      case 4: last = g.average(from, window(in, true), coin(), coin()); break;
      case 5:
        last = g.maximum(from, in.height < 2 || in.width < 2 || coin() ? window(in, true) : Window{2, 2, 2, 2});
        break;
      case 6: {
        const int other = coin()
                              ? same_plane(from, in.channels, coin())
                              : g.constant({coin() ? in.channels : 1, coin() ? in.height : 1, coin() ? in.width : 1});
        last = coin() ? g.operation(Operation::add, {from, other}, coin())
                      : g.operation(Operation::add, {other, from}, coin());
        break;
      }
      case 7: {
        const int gate = g.average(from, {.height = in.height, .width = in.width});
        last =
            g.operation(Operation::multiply, {from, g.convolution(gate, coin() ? in.channels : 1, {}, coin())}, coin());
        break;
      }
      case 8: {
        const int a = same_plane(from, random.integer(1, 11), coin()),
                  b = same_plane(from, random.integer(1, 11), coin());
        last = g.operation(Operation::concatenate, {a, from, b}, coin());
        break;
      }
      case 9: last = g.operation(Operation::table, {from}, coin()); break;
    }
    if (g.shape(last).height < 2 || g.shape(last).width < 2) last = 0;
  }
  return g.finish(random.integer(2, 10));
}

}  // namespace triseg::testing
