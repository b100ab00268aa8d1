#include "worker/cuda/chain.hpp"

#include "core/error.hpp"
#include "worker/cuda/cuda_kernels.hpp"
#include "worker/schedule.hpp"

namespace triseg {
namespace {

/// What the engine lacks for a step whose input should be the value `before`; empty: nothing.
std::string lacks(const Problem& problem, const Step& step, int before) {
  const QuantizedNetwork& model = problem.model;
  const Node& node = model.network.nodes[step.node];
  if (node.operation == Operation::maximum)
    return "`maximum` other than by its own side behind a convolution, as no site";
  if (node.operation != Operation::convolution) return fmt::format("`{}`", operation_name(node.operation));
  const Window& w = node.window;
  const Shape& in = model.network.input_shape(node);
  const bool square = in.height == in.width && w.height == w.width && w.stride_y == w.stride_x &&
                      w.pad_top == w.pad_left && w.pad_top == w.pad_bottom && w.pad_top == w.pad_right;
  if (node.groups != 1) return fmt::format("`convolution` in {} groups", node.groups);
  if (w.dilation_y != 1 || w.dilation_x != 1) return "`convolution` with dilation";
  if (!square) return "`convolution` that is not square";
  if (node.inputs.front() != before) return "branches";
  if (before != image_value && w.pad_top > 0 && model.input_scale(step.node).zero_point != 0)
    return fmt::format("border padding with input zero point {}", model.input_scale(step.node).zero_point);
  if (step.pool < 0) return {};
  const Window& pool = model.network.nodes[step.pool].window;
  if (pool.height != pool.width) return "`maximum` that is not square";
  if (pool.height > largest_pool) return fmt::format("`maximum` by {}, at most {}", pool.height, largest_pool);
  return {};
}

}  // namespace

std::optional<std::string> cuda_engine_refusal(const Problem& problem) {
  int before = image_value;
  for (const Step& step : make_steps(problem)) {
    if (const std::string what = lacks(problem, step, before); !what.empty())
      return fmt::format("node {}: cuda has no {}", problem.network().nodes[step.node].name, what);
    before = static_cast<int>(step.value());
  }
  const Node& last = problem.network().nodes.back();
  if (last.shape.positions() != 1) return fmt::format("node {}: cuda has no logits of several positions", last.name);
  return {};
}

std::vector<ChainStep> chain_steps(const Problem& problem) {
  std::vector<ChainStep> layers;
  for (const Step& step : make_steps(problem))
    layers.push_back({step.node, step.pool, step.pool < 0 ? 1 : problem.network().nodes[step.pool].window.height});
  return layers;
}

}  // namespace triseg
