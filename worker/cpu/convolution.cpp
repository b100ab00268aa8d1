#include "worker/cpu/convolution.hpp"

#include "core/error.hpp"
#include "core/philox.hpp"
#include "worker/cpu/depthwise_convolution.hpp"
#include "worker/cpu/direct_convolution.hpp"
#include "worker/cpu/onednn_convolution.hpp"
#include "worker/reference_operations.hpp"

#include <algorithm>
#include <span>

namespace triseg {
namespace {

constexpr std::size_t direct_weights = std::size_t{1} << 17;  // bytes, below

/// True if a direct convolution is faster than oneDNN's, as bench/results/forward-cpu.md measured: the weights stay in
/// a core's cache, and positions fill the rows of a tile of the CPU's fastest kernels.
bool is_direct(const QuantizedNetwork& network, std::size_t number) {
  const Node& node = network.network.nodes[number];
  const Window& w = node.window;
  const bool one_row = w.height == 1 && w.width == 1 && w.stride_y == 1 && w.stride_x == 1 && !has_padding(w);
  const int columns = one_row ? node.shape.positions() : node.shape.width;
  return !dot_kernels().empty() && !network.network.fully_connected(node) &&
         network.nodes[number].weights.size() < direct_weights && columns >= dot_kernels().front().least_columns;
}

}  // namespace

std::unique_ptr<Convolution> make_convolution(const QuantizedNetwork& network, std::size_t number, int most_images) {
  std::unique_ptr<Convolution> made;
  const auto is_exact = [&](std::unique_ptr<Convolution> convolution) {
    made = std::move(convolution);
    return matches_reference(*made, network, number);
  };
  if (DepthwiseConvolution::supports(network, number)) {
    for (const DotKernels& kernels : dot_kernels())
      if (kernels.depthwise && is_exact(std::make_unique<DepthwiseConvolution>(network, number, &kernels))) return made;
    if (is_exact(std::make_unique<DepthwiseConvolution>(network, number, nullptr))) return made;
  }
  for (const DotKernels& kernels : dot_kernels())
    if (is_direct(network, number) && DirectConvolution::supports(network, number, kernels) &&
        is_exact(std::make_unique<DirectConvolution>(network, number, kernels)))
      return made;
  for (const bool in_halves : {false, true})
    if (is_exact(std::make_unique<OneDnnConvolution>(network, number, most_images, in_halves))) return made;
  fail("node {}: no int8 product gives the reference's sums on this CPU", network.network.nodes[number].name);
}

bool matches_reference(Convolution& convolution, const QuantizedNetwork& network, std::size_t number) {
  const CodeLayout input = layout_of(network.network, network.network.nodes[number].inputs.front());
  const CodeLayout output = layout_of(network.network, static_cast<int>(number));
  const int images = std::min(2, convolution.tile()), channels = input.channels;
  std::vector<std::uint8_t> codes(convolution.tile() * input.size() + codes_slack, 0);
  std::vector<std::vector<std::uint8_t>> planes(2,
                                                std::vector<std::uint8_t>(std::size_t(channels) * input.positions()));
  std::fill(planes[0].begin(), planes[0].end(), std::uint8_t{255});
  for (std::size_t at = 0; at < planes[1].size(); ++at) {
    const std::uint32_t random = uniform_below(512, 0, Stream::self_test, at);
    planes[1][at] = static_cast<std::uint8_t>(random < 256 ? random : random % 2 * 255);
  }
  const Requantization& own = network.nodes[number].requantization;
  const auto own_bias = bias_of_plain_codes(network, number, own.bias);
  const auto positions = some_of(output.positions(), int(self_test_share(network.network) * output.positions()));
  for (int first = 0; first < 2; first += images) {
    for (int n = 0; n < images; ++n)
      for (int c = 0; c < channels; ++c)
        for (int p = 0; p < input.positions(); ++p)
          codes[n * input.size() + std::size_t(p) * input.lanes + c] =
              planes[first + n][std::size_t(c) * input.positions() + p];
    convolution.load(codes.data());
    for (int n = 0; n < images; ++n) {
      const std::int32_t* const sums = convolution.rows(n, 0, output.height);
      const std::span<const std::uint8_t> image = planes[first + n];
      const auto expected = reference_node(network, number, std::span(&image, 1), own, positions).accumulators;
      for (std::size_t i = 0; i < expected.size(); ++i) {
        const std::size_t position = positions[i / output.channels], channel = i % output.channels;
        if (sums[position * output.lanes + channel] + own_bias[channel] != expected[i]) return false;
      }
    }
  }
  return true;
}

std::vector<std::int32_t> bias_of_plain_codes(const QuantizedNetwork& network, std::size_t node,
                                              const std::vector<std::int32_t>& bias) {
  std::vector<std::int32_t> result(bias);
  const int zero = network.input_scale(node).zero_point;
  if (zero == 0) return result;
  const auto& weights = network.nodes[node].weights;
  const std::size_t fan_in = weights.size() / bias.size();
  for (std::size_t c = 0; c < bias.size(); ++c)
    for (std::size_t i = 0; i < fan_in; ++i) result[c] -= zero * weights[c * fan_in + i];
  return result;
}

std::vector<std::int8_t> lane_weights(const std::vector<std::int8_t>& weights, int area, const CodeLayout& input,
                                      const CodeLayout& output) {
  std::vector<std::int8_t> result(std::size_t(output.lanes) * area * input.lanes, 0);
  const std::int8_t* w = weights.data();
  for (int o = 0; o < output.channels; ++o)
    for (int i = 0; i < input.channels; ++i)
      for (int at = 0; at < area; ++at) result[(std::size_t(o) * area + at) * input.lanes + i] = *w++;
  return result;
}

}  // namespace triseg
