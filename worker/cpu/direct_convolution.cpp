#include "worker/cpu/direct_convolution.hpp"

#include <algorithm>
#include <cstring>

namespace triseg {
namespace {

/// Codes of a run, and the number of runs.
struct Runs {
  int length = 0, count = 0;
  bool whole_rows = false;

  Runs(const Window& w, int lanes) : whole_rows(w.dilation_x == 1 || w.width == 1) {
    length = whole_rows ? w.width * lanes : lanes;
    count = whole_rows ? w.height : w.height * w.width;
  }
};

std::vector<std::int8_t> weights_of(const QuantizedNetwork& network, std::size_t number) {
  const Node& node = network.network.nodes[number];
  return lane_weights(network.nodes[number].weights, node.window.height * node.window.width,
                      layout_of(network.network, node.inputs.front()),
                      layout_of(network.network, static_cast<int>(number)));
}

/// Weights as DotPass has them. plain: (lanes)(runs)(codes of a run).
std::vector<std::uint8_t> packed(const std::vector<std::int8_t>& plain, const Runs& runs, int dots, int lanes,
                                 const DotKernels& kernels) {
  const int codes_of_dot = 4 / kernels.code_bytes, block = kernels.block;
  const int blocks = (lanes + block - 1) / block;
  std::vector<std::uint8_t> result;
  result.reserve(std::size_t(blocks) * runs.count * dots * block * 4);
  for (int first = 0; first < blocks; first += 2) {
    for (int run = 0; run < runs.count; ++run) {
      for (int at = 0; at < dots * codes_of_dot; at += codes_of_dot) {
        for (int lane = first * block; lane < std::min(first + 2, blocks) * block; ++lane) {
          for (int i = at; i < at + codes_of_dot; ++i) {
            const bool inside = lane < lanes && i < runs.length;
            const std::int8_t w = inside ? plain[(std::size_t(lane) * runs.count + run) * runs.length + i] : 0;
            result.push_back(static_cast<std::uint8_t>(w));
            if (kernels.code_bytes == 2) result.push_back(w < 0 ? 255 : 0);
          }
        }
      }
    }
  }
  return result;
}

}  // namespace

bool DirectConvolution::supports(const QuantizedNetwork& network, std::size_t number, const DotKernels& kernels) {
  const Node& node = network.network.nodes[number];
  if (node.groups > 1 || layout_of(network.network, static_cast<int>(number)).lanes % kernels.lanes_multiple)
    return false;
  if (!kernels.small_weights) return true;
  const std::vector<std::int8_t> weights = weights_of(network, number);
  for (std::size_t i = 0; i < weights.size(); i += 2) {
    const int a = weights[i], b = weights[i + 1];
    if (255 * (std::max(a, 0) + std::max(b, 0)) > 32767 || 255 * (std::min(a, 0) + std::min(b, 0)) < -32768)
      return false;
  }
  return true;
}

DirectConvolution::DirectConvolution(const QuantizedNetwork& network, std::size_t number, const DotKernels& kernels)
    : Convolution(1, true, std::string(kernels.name)),
      kernels_(kernels),
      output_(layout_of(network.network, static_cast<int>(number))) {
  const Node& node = network.network.nodes[number];
  const Window& window = node.window;
  CodeLayout input = layout_of(network.network, node.inputs.front());
  if (has_padding(window) || kernels.code_bytes > 1) {
    const auto zero = static_cast<std::uint8_t>(network.input_scale(number).zero_point);
    border_.emplace(input, window, zero, 1, kernels.code_bytes);
    input = border_->layout();
  }
  const Runs runs(window, input.lanes);
  const std::size_t position = std::size_t(input.lanes) * kernels.code_bytes, row = position * input.width;
  for (int i = 0; i < window.height; ++i)
    for (int j = 0; j < (runs.whole_rows ? 1 : window.width); ++j)
      runs_.push_back(i * window.dilation_y * row + j * window.dilation_x * position);
  pass_.row_step = window.stride_y * row;
  pass_.column_step = window.stride_x * position;
  const int dots = runs.length * kernels.code_bytes / 4, multiple = kernels.dots_multiple;
  pass_.dots = (dots + multiple - 1) / multiple * multiple;
  pass_.lanes = output_.lanes;
  weights_ = packed(weights_of(network, number), runs, pass_.dots, output_.lanes, kernels);
}

void DirectConvolution::load(const std::uint8_t* codes) { codes_ = border_ ? border_->fill(codes) : codes; }

const std::int32_t* DirectConvolution::rows(int, int first, int count) {
  const std::size_t size = std::size_t(count) * output_.width * output_.lanes;
  if (sums_.size() < size) sums_.resize(size);
  DotPass pass = pass_;
  pass.codes = codes_ + first * pass.row_step;
  const bool one_row = pass.row_step == output_.width * pass.column_step;  // positions of rows that follow each other
  pass.height = one_row ? 1 : count;
  pass.width = one_row ? count * output_.width : output_.width;
  pass.runs = runs_;
  pass.weights = weights_.data();
  pass.sums = sums_.data();
  kernels_.run(pass);
  return sums_.data();
}

}  // namespace triseg
