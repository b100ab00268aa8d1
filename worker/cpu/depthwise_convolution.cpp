#include "worker/cpu/depthwise_convolution.hpp"

namespace triseg {

bool DepthwiseConvolution::supports(const QuantizedNetwork& network, std::size_t number) {
  const Node& node = network.network.nodes[number];
  const int channels = network.network.input_shape(node).channels;
  return node.groups > 1 && node.groups == channels && channels == node.shape.channels;
}

DepthwiseConvolution::DepthwiseConvolution(const QuantizedNetwork& network, std::size_t number)
    : Convolution(1, true, "depthwise (" + std::string(operation_kernels().front().name) + ")"),
      output_(layout_of(network.network, static_cast<int>(number))) {
  const Node& node = network.network.nodes[number];
  CodeLayout input = layout_of(network.network, node.inputs.front());
  if (has_padding(node.window)) {
    border_.emplace(input, node.window, static_cast<std::uint8_t>(network.input_scale(number).zero_point), 1);
    input = border_->layout();
  }
  pass_ = {input.width, output_.height, output_.width, output_.lanes, node.window};
  const int area = node.window.height * node.window.width;
  taps_.assign(std::size_t(area) * output_.lanes, 0);
  for (int c = 0; c < output_.channels; ++c)
    for (int at = 0; at < area; ++at)
      taps_[std::size_t(at) * output_.lanes + c] = network.nodes[number].weights[c * area + at];
}

void DepthwiseConvolution::load(const std::uint8_t* codes) { codes_ = border_ ? border_->fill(codes) : codes; }

const std::int32_t* DepthwiseConvolution::rows(int, int first, int count) {
  const std::size_t size = std::size_t(count) * output_.width * output_.lanes;
  if (sums_.size() < size) sums_.resize(size);
  DepthwisePass pass = pass_;
  pass.out_height = count;
  const std::size_t row = std::size_t(pass.in_width) * pass.lanes;
  operation_kernels().front().depthwise(pass, codes_ + first * pass.window.stride_y * row, taps_.data(), sums_.data());
  return sums_.data();
}

}  // namespace triseg
