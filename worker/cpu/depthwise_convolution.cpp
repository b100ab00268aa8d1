#include "worker/cpu/depthwise_convolution.hpp"

namespace triseg {
namespace {

/// Weights as DepthwiseDots has them. plain: (channels, height, width).
std::vector<std::uint8_t> packed(const std::vector<std::int8_t>& plain, const Window& w, const CodeLayout& output,
                                 const DotKernels& kernels) {
  const int in_dot = 4 / kernels.code_bytes, lanes = (output.lanes + kernels.block - 1) / kernels.block * kernels.block;
  std::vector<std::uint8_t> result;
  for (int first = 0; first < w.height; first += in_dot) {
    for (int j = 0; j < w.width; ++j) {
      for (int lane = 0; lane < lanes; ++lane) {
        for (int i = first; i < first + in_dot; ++i) {
          const bool inside = lane < output.channels && i < w.height;
          const std::int8_t weight = inside ? plain[(std::size_t(lane) * w.height + i) * w.width + j] : 0;
          result.push_back(static_cast<std::uint8_t>(weight));
          if (kernels.code_bytes == 2) result.push_back(weight < 0 ? 255 : 0);
        }
      }
    }
  }
  return result;
}

}  // namespace

bool DepthwiseConvolution::supports(const QuantizedNetwork& network, std::size_t number) {
  const Node& node = network.network.nodes[number];
  const int channels = network.network.input_shape(node).channels;
  return node.groups > 1 && node.groups == channels && channels == node.shape.channels;
}

DepthwiseConvolution::DepthwiseConvolution(const QuantizedNetwork& network, std::size_t number,
                                           const DotKernels* kernels)
    : Convolution(1, true,
                  "depthwise (" + std::string(kernels ? kernels->name : operation_kernels().front().name) + ")"),
      output_(layout_of(network.network, static_cast<int>(number))),
      kernels_(kernels) {
  const Node& node = network.network.nodes[number];
  CodeLayout input = layout_of(network.network, node.inputs.front());
  if (has_padding(node.window)) {
    border_.emplace(input, node.window, static_cast<std::uint8_t>(network.input_scale(number).zero_point), 1);
    input = border_->layout();
  }
  if (kernels) {
    dots_ = {nullptr, input.width, 1, output_.width, output_.lanes, node.window};
    weights_ = packed(network.nodes[number].weights, node.window, output_, *kernels);
    const int in_dot = 4 / kernels->code_bytes, groups = (node.window.height + in_dot - 1) / in_dot;
    rows_.resize((std::size_t(groups) * input.width * input.lanes + kernels->block) * 4);
    return;
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
  if (kernels_) {
    DepthwiseDots pass = dots_;
    pass.codes = codes_ + std::size_t(first) * pass.window.stride_y * pass.in_width * pass.lanes;
    pass.height = count;
    pass.weights = weights_.data();
    pass.rows = rows_.data();
    pass.sums = sums_.data();
    kernels_->depthwise(pass);
    return sums_.data();
  }
  DepthwisePass pass = pass_;
  pass.out_height = count;
  const std::size_t row = std::size_t(pass.in_width) * pass.lanes;
  operation_kernels().front().depthwise(pass, codes_ + first * pass.window.stride_y * row, taps_.data(), sums_.data());
  return sums_.data();
}

}  // namespace triseg
