#include "trainer/float_operations.hpp"

#include <limits>
#include <utility>

namespace triseg {
namespace {

using torch::Tensor;

int extent(int taps, int dilation) { return (taps - 1) * dilation + 1; }

/// The positions behind the last one of the input that the windows of a pool reach; negative: they leave some out.
int reach(int side, int steps, int taps, int stride, int dilation, int before) {
  return (steps - 1) * stride + extent(taps, dilation) - side - before;
}

/// x with what the windows of a pool reach around it, and nothing else.
Tensor reached(const Network& network, const Node& node, const Tensor& x, double padding) {
  const Shape& in = network.input_shape(node);
  const Window& w = node.window;
  const int right = reach(in.width, node.shape.width, w.width, w.stride_x, w.dilation_x, w.pad_left);
  const int bottom = reach(in.height, node.shape.height, w.height, w.stride_y, w.dilation_y, w.pad_top);
  if (w.pad_left == 0 && w.pad_top == 0 && right <= 0 && bottom <= 0) return x;  // the rest is dropped in any case
  return torch::constant_pad_nd(x, {w.pad_left, right, w.pad_top, bottom}, padding);
}

/// Positions of each window along one side that count.
std::vector<int> counts_along(int side, int steps, int taps, int stride, int dilation, int before, int after,
                              bool count_padding) {
  const int from = count_padding ? -before : 0, to = count_padding ? side + after : side;
  std::vector<int> counts(steps);
  for (int step = 0; step < steps; ++step)
    for (int tap = 0; tap < taps; ++tap) {
      const int at = step * stride - before + tap * dilation;
      counts[step] += at >= from && at < to;
    }
  return counts;
}

}  // namespace

Tensor as_planes(const Tensor& x) { return x.dim() == 2 ? x.reshape({x.size(0), x.size(1), 1, 1}) : x; }

Tensor convolve(const Network& network, const Node& node, const Tensor& x, const Tensor& weight, const Tensor& bias) {
  if (network.fully_connected(node)) return torch::linear(x.flatten(1), weight, bias);
  const Window& w = node.window;
  std::vector<std::int64_t> padding = {w.pad_top, w.pad_left};
  Tensor planes = as_planes(x);
  if (w.pad_top != w.pad_bottom || w.pad_left != w.pad_right) {
    planes = torch::constant_pad_nd(planes, {w.pad_left, w.pad_right, w.pad_top, w.pad_bottom}, 0);
    padding = {0, 0};
  }
  return torch::conv2d(planes, weight, bias, {w.stride_y, w.stride_x}, padding, {w.dilation_y, w.dilation_x},
                       node.groups);
}

std::vector<std::int64_t> weight_shape(const Network& network, const Node& node) {
  if (network.fully_connected(node)) return {node.shape.channels, network.fan_in(node)};
  return {node.shape.channels, network.input_shape(node).channels / node.groups, node.window.height, node.window.width};
}

Tensor per_channel(const Network& network, const Node& node, const Tensor& t) {
  return network.fully_connected(node) ? t : t.reshape({1, -1, 1, 1});
}

Tensor pool_maximum(const Network& network, const Node& node, const Tensor& x) {
  const Window& w = node.window;
  const Tensor padded = reached(network, node, as_planes(x), -std::numeric_limits<double>::infinity());
  return torch::max_pool2d(padded, {w.height, w.width}, {w.stride_y, w.stride_x}, {0, 0}, {w.dilation_y, w.dilation_x});
}

Tensor pool_sum(const Network& network, const Node& node, const Tensor& x) {
  const Window& w = node.window;
  const Tensor padded = reached(network, node, as_planes(x), 0);
  const Tensor ones = torch::ones({node.shape.channels, 1, w.height, w.width}, x.options());
  return torch::conv2d(padded, ones, Tensor(), {w.stride_y, w.stride_x}, at::IntArrayRef({0, 0}),
                       {w.dilation_y, w.dilation_x}, node.shape.channels);
}

std::vector<int> window_counts(const Network& network, const Node& node) {
  const Shape& in = network.input_shape(node);
  const Window& w = node.window;
  const auto down = counts_along(in.height, node.shape.height, w.height, w.stride_y, w.dilation_y, w.pad_top,
                                 w.pad_bottom, node.count_padding);
  const auto across = counts_along(in.width, node.shape.width, w.width, w.stride_x, w.dilation_x, w.pad_left,
                                   w.pad_right, node.count_padding);
  std::vector<int> counts;
  for (const int y : down)
    for (const int x : across) counts.push_back(y * x);
  return counts;
}

std::vector<int> pooled_by(const Network& network) {
  std::vector<int> result(network.nodes.size(), -1);
  for (std::size_t i = 0; i < network.nodes.size(); ++i) {
    if (network.nodes[i].operation == Operation::maximum) continue;
    const auto readers = network.consumers(static_cast<int>(i));
    if (readers.size() == 1 && network.nodes[readers.front()].operation == Operation::maximum)
      result[i] = static_cast<int>(readers.front());
  }
  return result;
}

Values::Values(const Network& network, Tensor image)
    : batch_(image.size(0)), values_(network.nodes.size() + 1), readers_(network.nodes.size() + 1) {
  values_[0] = std::move(image);
  for (const Node& node : network.nodes)
    for (const int input : node.inputs) ++readers_[input + 1];
}

void Values::done(const Node& node) {
  for (const int input : node.inputs)
    if (--readers_[input + 1] == 0) values_[input + 1] = Tensor();
}

}  // namespace triseg
