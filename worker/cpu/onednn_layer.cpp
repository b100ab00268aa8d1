#include "worker/cpu/onednn_layer.hpp"

#include "core/error.hpp"
#include "core/philox.hpp"
#include "worker/reference_engine.hpp"

#include <dnnl.hpp>
#include <omp.h>

#include <algorithm>
#include <array>
#include <unordered_map>

namespace triseg {
namespace {

using dnnl::memory;
using Type = memory::data_type;
using Tag = memory::format_tag;

int round_up(int x, int multiple) { return (x + multiple - 1) / multiple * multiple; }

/// Runs f; the one place where oneDNN's exceptions become ours.
template <class F>
auto with_onednn(const Layer& shape, std::string_view operation, F&& f) {
  try {
    return f();
  } catch (const dnnl::error& e) {
    fail("oneDNN: {} of layer {} failed: {} (status {})", operation, shape.name, e.what(), static_cast<int>(e.status));
  }
}

dnnl::engine& cpu() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

auto convolution(const memory::desc& source, const memory::desc& weights, const memory::desc& sums, int stride,
                 int padding) {
  using dnnl::convolution_forward;
  const memory::dims strides{stride, stride}, pad{padding, padding};
#if DNNL_VERSION_MAJOR >= 3
  return convolution_forward::primitive_desc(cpu(), dnnl::prop_kind::forward_inference,
                                             dnnl::algorithm::convolution_direct, source, weights, sums, strides, pad,
                                             pad);
#else
  return convolution_forward::primitive_desc({dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct,
                                              source, weights, sums, strides, pad, pad},
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

/// The weights as (out lanes, kernel, kernel, in lanes), zero in the lanes past the channels. A fully connected layer
/// is a kernel as large as the picture it flattens, so its (C,H,W) order is undone by the same loop.
std::vector<std::int8_t> lane_weights(const Layer& shape, const QuantizedLayer& layer, const CodeLayout& input) {
  const int k = shape.kind == LayerKind::fully_connected ? input.side : shape.kernel;
  std::vector<std::int8_t> result(std::size_t(output_layout(shape).lanes) * k * k * input.lanes, 0);
  const std::int8_t* w = layer.weights.data();
  for (int o = 0; o < shape.out_channels; ++o)
    for (int i = 0; i < input.channels; ++i)
      for (int at = 0; at < k * k; ++at) result[(std::size_t(o) * k * k + at) * input.lanes + i] = *w++;
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

}  // namespace

CodeLayout input_layout(const Network& network) {
  const Layer& first = network.layers.front();
  return {network.input_channels, round_up(network.input_channels, 4), network.input_side,
          first.kind == LayerKind::convolution ? first.padding : 0};
}

CodeLayout output_layout(const Layer& layer) {
  return {layer.out_channels, round_up(layer.out_channels, 8), layer.pooled_side, 0};
}

OneThread::OneThread() : threads_before_(omp_get_max_threads()) { omp_set_num_threads(1); }
OneThread::~OneThread() { omp_set_num_threads(threads_before_); }

/// One oneDNN primitive with its weights.
class OneDnnLayer::Product {
 public:
  Product(const Layer& shape, const CodeLayout& input, int tile, const std::vector<std::int8_t>& weights)
      : shape_(shape) {
    with_onednn(shape, "creation", [&] { create(input, tile, weights); });
  }

  const std::string& implementation() const { return implementation_; }

  void run(const std::uint8_t* codes, std::int32_t* sums) {
    with_onednn(shape_, "execution", [&] {
      source_.set_data_handle(const_cast<std::uint8_t*>(codes));
      sums_.set_data_handle(sums);
      primitive_.execute(stream_, arguments_);
      stream_.wait();
    });
  }

 private:
  void create(const CodeLayout& input, int tile, const std::vector<std::int8_t>& weights) {
    const int in = input.lanes, out = output_layout(shape_).lanes;
    memory::desc source, plain, chosen, sums;
    if (shape_.kind == LayerKind::convolution) {
      const int side = input.side + 2 * input.border, k = shape_.kernel;
      source = {{tile, in, side, side}, Type::u8, Tag::nhwc};
      sums = {{tile, out, shape_.out_side, shape_.out_side}, Type::s32, Tag::nhwc};
      plain = {{out, in, k, k}, Type::s8, Tag::ohwi};
      const auto made = convolution(source, {{out, in, k, k}, Type::s8, Tag::any}, sums, shape_.stride,
                                    input.border > 0 ? 0 : shape_.padding);
      use(made, dnnl::convolution_forward(made), chosen);
    } else {
      const int features = static_cast<int>(input.size());
      source = {{tile, features}, Type::u8, Tag::nc};
      sums = {{tile, out}, Type::s32, Tag::nc};
      plain = {{out, features}, Type::s8, Tag::oi};
      const auto made = inner_product(source, {{out, features}, Type::s8, Tag::any}, sums);
      use(made, dnnl::inner_product_forward(made), chosen);
    }
    memory from(plain, cpu(), const_cast<std::int8_t*>(weights.data())), to(chosen, cpu());
    dnnl::reorder(from, to).execute(stream_, from, to);
    stream_.wait();
    source_ = memory(source, cpu(), nullptr);
    sums_ = memory(sums, cpu(), nullptr);
    arguments_ = {{DNNL_ARG_SRC, source_}, {DNNL_ARG_WEIGHTS, to}, {DNNL_ARG_DST, sums_}};
  }

  template <class Description>
  void use(const Description& made, dnnl::primitive primitive, memory::desc& weights) {
    implementation_ = made.impl_info_str();
    weights = made.weights_desc();
    primitive_ = std::move(primitive);
  }

  const Layer& shape_;
  std::string implementation_;
  dnnl::stream stream_{cpu()};
  dnnl::primitive primitive_;
  memory source_, sums_;
  std::unordered_map<int, memory> arguments_;
};

OneDnnLayer::OneDnnLayer(const Layer& shape, const QuantizedLayer& layer, const CodeLayout& input, int tile)
    : shape_(shape), layer_(layer), input_(input), tile_(tile) {
  if (layer.input.zero_point != 0 && shape.kind == LayerKind::convolution && shape.padding != input.border)
    fail("layer {}: the onednn engine pads with zero point 0 only, here it is {}", shape.name, layer.input.zero_point);
  const auto weights = lane_weights(shape, layer, input);
  parts_.push_back(std::make_unique<Product>(shape, input, tile, weights));
  how_ = fmt::format("int8 ({})", parts_[0]->implementation());
  if (matches_reference()) return;

  parts_.clear();
  for (const auto& half : halves(weights)) parts_.push_back(std::make_unique<Product>(shape, input, tile, half));
  second_sums_.resize(std::size_t(tile) * shape.positions() * output_layout(shape).lanes);
  how_ = fmt::format("int8 ({}) in two halves, slower: this CPU's int8 saturates", parts_[0]->implementation());
  if (!matches_reference()) fail("layer {}: oneDNN's int8 does not give the reference's sums on this CPU", shape.name);
}

OneDnnLayer::~OneDnnLayer() = default;
OneDnnLayer::OneDnnLayer(OneDnnLayer&&) noexcept = default;

void OneDnnLayer::run(const std::uint8_t* codes, std::int32_t* sums) {
  parts_[0]->run(codes, sums);
  if (parts_.size() == 1) return;
  parts_[1]->run(codes, second_sums_.data());
  for (std::size_t i = 0; i < second_sums_.size(); ++i) sums[i] += second_sums_[i];
}

/// Two images: one of all 255, where 16-bit pair sums saturate first, and one random, half of its codes 0 or 255.
bool OneDnnLayer::matches_reference() {
  const int images = std::min(2, tile_), out_lanes = output_layout(shape_).lanes;
  const int channels = input_.channels, side = input_.side, width = side + 2 * input_.border;
  std::vector<std::uint8_t> planes(std::size_t(images) * channels * side * side, 255);
  std::vector<std::uint8_t> codes(tile_ * input_.size(), static_cast<std::uint8_t>(layer_.input.zero_point));
  std::size_t at = 0;
  for (int n = 0; n < images; ++n) {
    for (int c = 0; c < channels; ++c) {
      for (int y = 0; y < side; ++y) {
        for (int x = 0; x < side; ++x, ++at) {
          if (n > 0) {
            const std::uint32_t random = uniform_below(512, 0, Stream::self_test, at);
            planes[at] = static_cast<std::uint8_t>(random < 256 ? random : random % 2 * 255);
          }
          const std::size_t position = std::size_t(y + input_.border) * width + x + input_.border;
          codes[n * input_.size() + position * input_.lanes + c] = planes[at];
        }
      }
    }
  }
  const auto& bias = layer_.requantization.bias;
  const auto expected = reference_accumulators(shape_, layer_, bias, planes, images);
  const auto own_bias = bias_of_plain_codes(layer_, bias);
  std::vector<std::int32_t> sums(std::size_t(tile_) * shape_.positions() * out_lanes);
  run(codes.data(), sums.data());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const std::size_t position = i / shape_.out_channels, channel = i % shape_.out_channels;
    if (sums[position * out_lanes + channel] + own_bias[channel] != expected[i]) return false;
  }
  return true;
}

std::vector<std::int32_t> bias_of_plain_codes(const QuantizedLayer& layer, const std::vector<std::int32_t>& bias) {
  std::vector<std::int32_t> result(bias);
  if (layer.input.zero_point == 0) return result;
  const std::size_t fan_in = layer.weights.size() / bias.size();
  for (std::size_t c = 0; c < bias.size(); ++c)
    for (std::size_t i = 0; i < fan_in; ++i) result[c] -= layer.input.zero_point * layer.weights[c * fan_in + i];
  return result;
}

}  // namespace triseg
