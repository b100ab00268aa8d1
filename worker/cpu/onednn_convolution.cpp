#include "worker/cpu/onednn_convolution.hpp"

#include "core/error.hpp"
#include "core/philox.hpp"
#include "worker/cpu/operation_kernels.hpp"
#include "worker/reference_operations.hpp"

#include <dnnl.hpp>
#include <omp.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_map>

namespace triseg {
namespace {

using dnnl::memory;
using Type = memory::data_type;
using Tag = memory::format_tag;

constexpr std::size_t sums_in_cache = std::size_t{1} << 20;  // bytes

/// Runs f; the one place where oneDNN's exceptions become ours.
template <class F>
auto with_onednn(const Node& node, std::string_view operation, F&& f) {
  try {
    return f();
  } catch (const dnnl::error& e) {
    fail("oneDNN: {} of node {} failed: {} (status {})", operation, node.name, e.what(), static_cast<int>(e.status));
  }
}

dnnl::engine& cpu() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

auto convolution(const memory::desc& source, const memory::desc& weights, const memory::desc& sums, const Window& w,
                 bool padded) {
  using dnnl::convolution_forward;
  const memory::dims strides{w.stride_y, w.stride_x}, dilations{w.dilation_y - 1, w.dilation_x - 1};
  const memory::dims before = padded ? memory::dims{0, 0} : memory::dims{w.pad_top, w.pad_left};
  const memory::dims after = padded ? memory::dims{0, 0} : memory::dims{w.pad_bottom, w.pad_right};
#if DNNL_VERSION_MAJOR >= 3
  return convolution_forward::primitive_desc(cpu(), dnnl::prop_kind::forward_inference,
                                             dnnl::algorithm::convolution_direct, source, weights, sums, strides,
                                             dilations, before, after);
#else
  return convolution_forward::primitive_desc({dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct,
                                              source, weights, sums, strides, dilations, before, after},
                                             cpu());
#endif
}

auto inner_product(const memory::desc& source, const memory::desc& weights, const memory::desc& sums) {
  using dnnl::inner_product_forward;
#if DNNL_VERSION_MAJOR >= 3
  return inner_product_forward::primitive_desc(cpu(), dnnl::prop_kind::forward_inference, source, weights, sums);
#else
  return inner_product_forward::primitive_desc({dnnl::prop_kind::forward_inference, source, weights, sums}, cpu());
#endif
}

/// Images as they lie, of which only the channels count.
memory::desc strided(int images, const CodeLayout& layout, Type type) {
  return {{images, layout.channels, layout.height, layout.width},
          type,
          memory::dims{static_cast<memory::dim>(layout.size()), 1,
                       static_cast<memory::dim>(layout.width) * layout.lanes, layout.lanes}};
}

/// The weights as (out lanes, height, width, in lanes), zero in the lanes past the channels. Those of a fully connected
/// layer, (C,H,W), are the same with a window as large as the plane.
std::vector<std::int8_t> lane_weights(const std::vector<std::int8_t>& weights, int area, const CodeLayout& input,
                                      const CodeLayout& output) {
  std::vector<std::int8_t> result(std::size_t(output.lanes) * area * input.lanes, 0);
  const std::int8_t* w = weights.data();
  for (int o = 0; o < output.channels; ++o)
    for (int i = 0; i < input.channels; ++i)
      for (int at = 0; at < area; ++at) result[(std::size_t(o) * area + at) * input.lanes + i] = *w++;
  return result;
}

/// w = a + b with |a|, |b| <= 64: no pair of such weights times codes 0..255 leaves 16 bits.
std::array<std::vector<std::int8_t>, 2> halves(const std::vector<std::int8_t>& weights) {
  std::array<std::vector<std::int8_t>, 2> result{weights, weights};
  for (std::size_t i = 0; i < weights.size(); ++i) {
    result[0][i] = static_cast<std::int8_t>(weights[i] / 2);
    result[1][i] = static_cast<std::int8_t>(weights[i] - weights[i] / 2);
  }
  return result;
}

bool has_padding(const Window& w) { return w.pad_top > 0 || w.pad_left > 0 || w.pad_bottom > 0 || w.pad_right > 0; }

/// The power of two that keeps the sums in the cache.
int tile_of(std::size_t sums_of_image, int most_images) {
  int tile = 1;
  while (2 * tile <= most_images && tile < 8 && 2 * tile * sums_of_image * sizeof(std::int32_t) <= sums_in_cache)
    tile *= 2;
  return tile;
}

}  // namespace

OneThread::OneThread() : threads_before_(omp_get_max_threads()) { omp_set_num_threads(1); }
OneThread::~OneThread() { omp_set_num_threads(threads_before_); }

/// One oneDNN primitive with its weights.
class OneDnnConvolution::Product {
 public:
  Product(const Network& network, const Node& node, const CodeLayout& input, const CodeLayout& output, int tile,
          bool padded, const std::vector<std::int8_t>& weights)
      : node_(node) {
    with_onednn(node, "creation", [&] {
      if (node.groups > 1) create_grouped(input, output, tile, padded, weights);
      else if (network.fully_connected(node)) create_inner_product(input, output, tile, weights);
      else create_convolution(input, output, tile, padded, weights);
    });
  }

  const std::string& implementation() const { return implementation_; }

  void run(const std::uint8_t* codes, std::int32_t* sums) {
    with_onednn(node_, "execution", [&] {
      source_.set_data_handle(const_cast<std::uint8_t*>(codes));
      sums_.set_data_handle(sums);
      primitive_.execute(stream_, arguments_);
      stream_.wait();
    });
  }

 private:
  void create_convolution(const CodeLayout& in, const CodeLayout& out, int tile, bool padded,
                          const std::vector<std::int8_t>& weights) {
    const int h = node_.window.height, w = node_.window.width;
    const memory::desc source({tile, in.lanes, in.height, in.width}, Type::u8, Tag::nhwc);
    const memory::desc sums({tile, out.lanes, out.height, out.width}, Type::s32, Tag::nhwc);
    const auto made =
        convolution(source, {{out.lanes, in.lanes, h, w}, Type::s8, Tag::any}, sums, node_.window, padded);
    use(made, dnnl::convolution_forward(made), source, {{out.lanes, in.lanes, h, w}, Type::s8, Tag::ohwi}, sums,
        weights);
  }

  void create_inner_product(const CodeLayout& in, const CodeLayout& out, int tile,
                            const std::vector<std::int8_t>& weights) {
    const int features = static_cast<int>(in.size());
    const memory::desc source({tile, features}, Type::u8, Tag::nc), sums({tile, out.lanes}, Type::s32, Tag::nc);
    const auto made = inner_product(source, {{out.lanes, features}, Type::s8, Tag::any}, sums);
    use(made, dnnl::inner_product_forward(made), source, {{out.lanes, features}, Type::s8, Tag::oi}, sums, weights);
  }

  /// Without the lanes past the channels, which would belong to no group.
  void create_grouped(const CodeLayout& in, const CodeLayout& out, int tile, bool padded,
                      const std::vector<std::int8_t>& weights) {
    const int g = node_.groups, h = node_.window.height, w = node_.window.width;
    const memory::dims dims{g, out.channels / g, in.channels / g, h, w};
    const memory::desc source = strided(tile, in, Type::u8), sums = strided(tile, out, Type::s32);
    const auto made = convolution(source, {dims, Type::s8, Tag::any}, sums, node_.window, padded);
    use(made, dnnl::convolution_forward(made), source, {dims, Type::s8, Tag::goihw}, sums, weights);
  }

  template <class Description>
  void use(const Description& made, dnnl::primitive primitive, const memory::desc& source, const memory::desc& plain,
           const memory::desc& sums, const std::vector<std::int8_t>& weights) {
    implementation_ = made.impl_info_str();
    primitive_ = std::move(primitive);
    memory from(plain, cpu(), const_cast<std::int8_t*>(weights.data())), to(made.weights_desc(), cpu());
    dnnl::reorder(from, to).execute(stream_, from, to);
    stream_.wait();
    source_ = memory(source, cpu(), nullptr);
    sums_ = memory(sums, cpu(), nullptr);
    arguments_ = {{DNNL_ARG_SRC, source_}, {DNNL_ARG_WEIGHTS, to}, {DNNL_ARG_DST, sums_}};
  }

  const Node& node_;
  std::string implementation_;
  dnnl::stream stream_{cpu()};
  dnnl::primitive primitive_;
  memory source_, sums_;
  std::unordered_map<int, memory> arguments_;
};

OneDnnConvolution::OneDnnConvolution(const QuantizedNetwork& network, std::size_t number, int most_images)
    : network_(network),
      number_(number),
      input_(layout_of(network.network, node().inputs.front())),
      output_(layout_of(network.network, static_cast<int>(number))),
      depthwise_(node().groups > 1 && node().groups == input_.channels && input_.channels == output_.channels),
      padded_here_(has_padding(node().window) && (depthwise_ || network.input_scale(number).zero_point != 0)),
      tile_(tile_of(output_.size(), most_images)),
      padded_(input_) {
  const QuantizedNode& numbers = network.nodes[number];
  const Window& window = node().window;
  if (padded_here_) {
    padded_.height += window.pad_top + window.pad_bottom;
    padded_.width += window.pad_left + window.pad_right;
    bordered_.assign(tile_ * padded_.size(), static_cast<std::uint8_t>(network.input_scale(number).zero_point));
  }
  const int area = window.height * window.width;
  if (depthwise_) {
    taps_.assign(std::size_t(area) * output_.lanes, 0);
    for (int c = 0; c < output_.channels; ++c)
      for (int at = 0; at < area; ++at) taps_[std::size_t(at) * output_.lanes + c] = numbers.weights[c * area + at];
    how_ = "depthwise loops";
    return;
  }
  const auto weights = node().groups > 1 ? numbers.weights : lane_weights(numbers.weights, area, input_, output_);
  const auto product = [&](const std::vector<std::int8_t>& part) {
    return std::make_unique<Product>(network.network, node(), padded_, output_, tile_, padded_here_, part);
  };
  parts_.push_back(product(weights));
  how_ = fmt::format("int8 ({})", parts_[0]->implementation());
  if (matches_reference()) return;

  parts_.clear();
  for (const auto& half : halves(weights)) parts_.push_back(product(half));
  second_sums_.resize(tile_ * output_.size());
  how_ = fmt::format("int8 ({}) in two halves, slower: this CPU's int8 saturates", parts_[0]->implementation());
  if (!matches_reference()) fail("node {}: oneDNN's int8 does not give the reference's sums on this CPU", node().name);
}

OneDnnConvolution::~OneDnnConvolution() = default;
OneDnnConvolution::OneDnnConvolution(OneDnnConvolution&&) noexcept = default;

void OneDnnConvolution::run(const std::uint8_t* codes, std::int32_t* sums) {
  if (padded_here_) {
    const Window& window = node().window;
    const std::size_t row = std::size_t(input_.width) * input_.lanes;
    for (int n = 0; n < tile_; ++n)
      for (int y = 0; y < input_.height; ++y)
        std::memcpy(&bordered_[n * padded_.size() +
                               (std::size_t(y + window.pad_top) * padded_.width + window.pad_left) * input_.lanes],
                    codes + n * input_.size() + y * row, row);
    codes = bordered_.data();
  }
  if (depthwise_) return run_depthwise(codes, sums);
  if (node().groups > 1 && output_.lanes > output_.channels)  // which the products do not touch
    std::fill_n(sums, tile_ * output_.size(), 0);
  parts_[0]->run(codes, sums);
  if (parts_.size() == 1) return;
  parts_[1]->run(codes, second_sums_.data());
  for (std::size_t i = 0; i < second_sums_.size(); ++i) sums[i] += second_sums_[i];
}

void OneDnnConvolution::run_depthwise(const std::uint8_t* codes, std::int32_t* sums) const {
  const DepthwisePass pass{padded_.width, output_.height, output_.width, output_.lanes, node().window};
  for (int n = 0; n < tile_; ++n)
    operation_kernels().front().depthwise(pass, codes + n * padded_.size(), taps_.data(), sums + n * output_.size());
}

/// Up to two images: one of all 255, where 16-bit pair sums saturate first, and one random, half of its codes 0 or 255.
bool OneDnnConvolution::matches_reference() {
  const int images = std::min(2, tile_), channels = input_.channels;
  std::vector<std::uint8_t> codes(tile_ * input_.size(), 0);
  std::vector<std::vector<std::uint8_t>> planes(2,
                                                std::vector<std::uint8_t>(std::size_t(channels) * input_.positions()));
  std::fill(planes[0].begin(), planes[0].end(), std::uint8_t{255});
  for (std::size_t at = 0; at < planes[1].size(); ++at) {
    const std::uint32_t random = uniform_below(512, 0, Stream::self_test, at);
    planes[1][at] = static_cast<std::uint8_t>(random < 256 ? random : random % 2 * 255);
  }
  const Requantization& own = network_.nodes[number_].requantization;
  const auto own_bias = bias_of_plain_codes(network_, number_, own.bias);
  const auto positions = some_of(output_.positions(), int(self_test_share(network_.network) * output_.positions()));
  std::vector<std::int32_t> sums(tile_ * output_.size());
  for (int first = 0; first < 2; first += images) {
    for (int n = 0; n < images; ++n)
      for (int c = 0; c < channels; ++c)
        for (int p = 0; p < input_.positions(); ++p)
          codes[n * input_.size() + std::size_t(p) * input_.lanes + c] =
              planes[first + n][std::size_t(c) * input_.positions() + p];
    run(codes.data(), sums.data());
    for (int n = 0; n < images; ++n) {
      const std::span<const std::uint8_t> image = planes[first + n];
      const auto expected = reference_node(network_, number_, std::span(&image, 1), own, positions).accumulators;
      for (std::size_t i = 0; i < expected.size(); ++i) {
        const std::size_t position = positions[i / output_.channels], channel = i % output_.channels;
        if (sums[n * output_.size() + position * output_.lanes + channel] + own_bias[channel] != expected[i])
          return false;
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

}  // namespace triseg
