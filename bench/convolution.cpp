// The ways a CPU has to run each convolution of a network, on one core: oneDNN's and those of each instruction set of
// worker/cpu/dot_kernels.hpp, with the requantization of their sums.
#include "network/recipes.hpp"
#include "tests/worker/random_network.hpp"
#include "worker/cpu/depthwise_convolution.hpp"
#include "worker/cpu/direct_convolution.hpp"
#include "worker/cpu/onednn_convolution.hpp"
#include "worker/cpu/requantize_kernels.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>

namespace triseg {
namespace {

constexpr int images = 32;
constexpr std::size_t strip_bytes = std::size_t{16} << 10;

/// The best of several runs, in microseconds.
template <class F>
double best_time(F&& f) {
  double best = 1e9;
  for (int run = 0; run < 7; ++run) {
    const auto start = std::chrono::steady_clock::now();
    f();
    best = std::min(best, std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

/// Microseconds an image, from codes to codes.
double time(Convolution& convolution, const QuantizedNetwork& network, std::size_t number) {
  const CodeLayout in = layout_of(network.network, network.network.nodes[number].inputs.front());
  const CodeLayout out = layout_of(network.network, static_cast<int>(number));
  const std::vector<std::uint8_t> codes = testing::random_codes(images * in.size() + codes_slack, 1);
  std::vector<std::uint8_t> result(images * out.size());
  LaneRequantization requantization{std::vector<std::int32_t>(out.lanes, 5), std::vector<float>(out.lanes, 0.01f)};
  const std::size_t row = std::size_t(out.width) * out.lanes;
  const int strip = convolution.by_rows() ? std::clamp<int>(int(strip_bytes / (4 * row)), 1, out.height) : out.height;
  return best_time([&] {
           for (int n = 0; n < images; ++n) {
             if (n % convolution.tile() == 0) convolution.load(&codes[n * in.size()]);
             for (int y = 0; y < out.height; y += strip) {
               const int count = std::min(strip, out.height - y);
               const std::int32_t* const sums = convolution.rows(n % convolution.tile(), y, count);
               requantize_kernels().front().requantize(sums, {count, out.width}, {}, requantization,
                                                       &result[n * out.size() + y * row]);
             }
           }
         }) /
         images;
}

void compare(const std::string& name) {
  const Problem problem = testing::random_problem(make_recipe(name).network, Scheme::fbgemm, 1);
  const QuantizedNetwork& network = problem.model;
  for (std::size_t i = 0; i < network.nodes.size(); ++i) {
    const Node& node = network.network.nodes[i];
    if (node.operation != Operation::convolution) continue;
    const Shape& in = network.network.input_shape(node);
    fmt::print("{:12} {:18} {:4} x {:3} x {:3} -> {:4} x {:3} x {:3}, {} x {}, {:7.0f} weights, {:6.2f} MMAC:", name,
               node.name, in.channels, in.height, in.width, node.shape.channels, node.shape.height, node.shape.width,
               node.window.height, node.window.width, double(network.nodes[i].weights.size()),
               network.network.macs(node) * 1e-6);
    OneDnnConvolution onednn(network, i, images, false);
    fmt::print(" {:.1f} us {};", time(onednn, network, i), onednn.how());
    for (const DotKernels& kernels : dot_kernels()) {
      if (DepthwiseConvolution::supports(network, i) && kernels.depthwise) {
        DepthwiseConvolution convolution(network, i, &kernels);
        fmt::print(" {:.1f} us {};", time(convolution, network, i), convolution.how());
      } else if (DirectConvolution::supports(network, i, kernels)) {
        DirectConvolution convolution(network, i, kernels);
        fmt::print(" {:.1f} us {};", time(convolution, network, i), convolution.how());
      }
    }
    fmt::print("\n");
  }
}

}  // namespace
}  // namespace triseg

int main(int argc, char** argv) {
  const triseg::OneThread one_thread;
  for (int i = 1; i < argc; ++i) triseg::compare(argv[i]);
  if (argc == 1) fmt::print("usage: triseg_bench_convolution NETWORK...\n");
}
