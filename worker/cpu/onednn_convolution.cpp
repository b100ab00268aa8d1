#include "worker/cpu/onednn_convolution.hpp"

#include "core/error.hpp"
#include "worker/cpu/bordered_codes.hpp"

#include <dnnl.hpp>
#include <omp.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
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

/// w = a + b with |a|, |b| <= 64: no pair of such weights times codes 0..255 leaves 16 bits.
std::array<std::vector<std::int8_t>, 2> halves(const std::vector<std::int8_t>& weights) {
  std::array<std::vector<std::int8_t>, 2> result{weights, weights};
  for (std::size_t i = 0; i < weights.size(); ++i) {
    result[0][i] = static_cast<std::int8_t>(weights[i] / 2);
    result[1][i] = static_cast<std::int8_t>(weights[i] - weights[i] / 2);
  }
  return result;
}

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

/// One product, or the two halves of the weights.
struct OneDnnConvolution::Parts {
  std::optional<BorderedCodes> border;
  std::vector<std::unique_ptr<Product>> products;
  std::string how;
  bool has_empty_lanes = false;  // which the products do not touch
};

OneDnnConvolution::Parts OneDnnConvolution::make_parts(const QuantizedNetwork& network, std::size_t number, int tile,
                                                       bool in_halves) {
  const Node& node = network.network.nodes[number];
  const auto& plain = network.nodes[number].weights;
  CodeLayout input = layout_of(network.network, node.inputs.front());
  const CodeLayout output = layout_of(network.network, static_cast<int>(number));
  Parts parts;
  const int zero_point = network.input_scale(number).zero_point;
  const int area = node.window.height * node.window.width;
  const auto weights = node.groups > 1 ? plain : lane_weights(plain, area, input, output);
  if (has_padding(node.window) && zero_point != 0) {
    parts.border.emplace(input, node.window, static_cast<std::uint8_t>(zero_point), tile);
    input = parts.border->layout();
  }
  const auto add = [&](const std::vector<std::int8_t>& part) {
    parts.products.push_back(
        std::make_unique<Product>(network.network, node, input, output, tile, parts.border.has_value(), part));
  };
  if (in_halves)
    for (const auto& half : halves(weights)) add(half);
  else add(weights);
  parts.how = fmt::format("int8 ({}){}", parts.products[0]->implementation(),
                          in_halves ? " in two halves, slower: this CPU's int8 saturates" : "");
  parts.has_empty_lanes = node.groups > 1 && output.lanes > output.channels;
  return parts;
}

OneDnnConvolution::OneDnnConvolution(int tile, Parts parts, const CodeLayout& output)
    : Convolution(tile, false, parts.how),
      parts_(std::make_unique<Parts>(std::move(parts))),
      output_(output),
      sums_(tile * output.size()),
      second_sums_(parts_->products.size() > 1 ? sums_.size() : 0) {}

OneDnnConvolution::OneDnnConvolution(const QuantizedNetwork& network, std::size_t number, int most_images,
                                     bool in_halves)
    : OneDnnConvolution(
          tile_of(layout_of(network.network, static_cast<int>(number)).size(), most_images),
          make_parts(network, number, tile_of(layout_of(network.network, static_cast<int>(number)).size(), most_images),
                     in_halves),
          layout_of(network.network, static_cast<int>(number))) {}

OneDnnConvolution::~OneDnnConvolution() = default;

void OneDnnConvolution::load(const std::uint8_t* codes) {
  if (parts_->border) codes = parts_->border->fill(codes);
  if (parts_->has_empty_lanes) std::fill(sums_.begin(), sums_.end(), 0);
  parts_->products[0]->run(codes, sums_.data());
  if (parts_->products.size() == 1) return;
  parts_->products[1]->run(codes, second_sums_.data());
  for (std::size_t i = 0; i < second_sums_.size(); ++i) sums_[i] += second_sums_[i];
}

const std::int32_t* OneDnnConvolution::rows(int image, int first, int) {
  return &sums_[image * output_.size() + std::size_t(first) * output_.width * output_.lanes];
}

}  // namespace triseg
