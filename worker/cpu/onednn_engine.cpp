#include "worker/cpu/onednn_engine.hpp"

#include "core/error.hpp"
#include "worker/cpu/onednn_layer.hpp"
#include "worker/cpu/requantize_kernels.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <tuple>

namespace triseg {
namespace {

constexpr int tile = 8;    // images per matrix product: its int32 sums are turned into codes while they are in L2
constexpr int chunk = 32;  // images that pass through all layers together: a multiple of the tile

int round_up(int x, int multiple) { return (x + multiple - 1) / multiple * multiple; }

/// How much two students have in common: all of the layers in front of this one and, with `codes`, that layer up to its
/// table.
struct Shared {
  std::size_t layers = 0;
  bool codes = false;
};

class OneDnnEngine final : public Engine {
 public:
  explicit OneDnnEngine(const Problem& problem)
      : problem_(problem), model_(problem.model), input_(input_layout(problem.network())) {
    const OneThread one_thread;
    const auto& layers = model_.network.layers;
    CodeLayout input = input_;
    std::size_t sums = 0;
    stages_.reserve(layers.size());
    for (std::size_t l = 0; l < layers.size(); ++l) {
      const CodeLayout output = output_layout(layers[l]);
      stages_.push_back({OneDnnLayer(layers[l], model_.layers[l], input, tile), output,
                         lanes_of(l, model_.layers[l].requantization), problem_.site_of(l), problem_.attention_of(l),
                         layers[l].kind == LayerKind::fully_connected ? output.channels : layers[l].positions(),
                         bias_of_plain_codes(model_.layers[l], std::vector<std::int32_t>(output.channels, 0))});
      stages_.back().offset.resize(output.lanes, 0);
      stages_.back().out.resize(chunk * output.size());
      sums = std::max(sums, std::size_t(layers[l].positions()) * output.lanes);
      input = output;
    }
    sums_.resize(tile * sums);
    unpooled_.resize(sums);
  }

  std::string_view name() const override { return "onednn"; }

  std::string description() const override {
    std::string text;  // "conv1 conv2: int8 (...); fc1: ...; codes: AVX2"
    for (std::size_t l = 0; l < stages_.size(); ++l) {
      const std::string& how = stages_[l].product.how();
      text += (l == 0 ? "" : " ") + shape(l).name;
      if (l + 1 == stages_.size() || stages_[l + 1].product.how() != how) text += ": " + how + ";";
    }
    return text + " codes: " + std::string(kernels_.name);
  }

  void load_images(std::span<const std::uint8_t> codes, int images) override {
    const OneThread one_thread;
    const int channels = input_.channels, side = input_.side, width = side + 2 * input_.border;
    images_ = images;
    input_codes_.assign(round_up(images, tile) * input_.size(), static_cast<std::uint8_t>(model_.input().zero_point));
    const std::uint8_t* from = codes.data();
    for (int n = 0; n < images; ++n) {
      for (int c = 0; c < channels; ++c) {
        for (int y = 0; y < side; ++y) {
          std::uint8_t* to = &input_codes_[n * input_.size() +
                                           (std::size_t(y + input_.border) * width + input_.border) * input_.lanes + c];
          for (int x = 0; x < side; ++x) to[x * input_.lanes] = *from++;
        }
      }
    }
  }

  void forward(std::span<const Student> students, std::span<ForwardResult> results) override {
    const OneThread one_thread;
    owned_.resize(std::max(owned_.size(), students.size()));
    for (std::size_t s = 0; s < students.size(); ++s) {
      OwnedForwardResult& result = owned_[s];
      result.logit_codes.resize(std::size_t(images_) * model_.network.classes);
      result.attention.resize(problem_.attention.size());
      for (const Stage& stage : stages_)
        if (stage.attention >= 0) result.attention[stage.attention].resize(std::size_t(images_) * stage.map_size);
    }
    // Students with the same beginning follow each other, and take over what they share with the one before.
    std::vector<std::size_t> order(students.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return comes_before(students[a], students[b]); });
    std::vector<Shared> shared(order.size());
    for (Stage& stage : stages_) stage.keeps = false;
    for (std::size_t i = 1; i < order.size(); ++i) {
      shared[i] = in_common(students[order[i - 1]], students[order[i]]);
      if (shared[i].codes) keep(shared[i].layers);
    }
    for (int first = 0; first < images_; first += chunk) {
      for (std::size_t i = 0; i < order.size(); ++i) {
        if (shared[i].layers > 0) copy_maps(shared[i].layers, first, owned_[order[i - 1]], owned_[order[i]]);
        run(students[order[i]], first, &owned_[order[i]], nullptr, false, shared[i]);
      }
    }
    for (std::size_t s = 0; s < students.size(); ++s) results[s] = owned_[s].view();
  }

  void trace(const Student& student, const TraceSink& sink) override {
    const OneThread one_thread;
    for (int first = 0; first < images_; first += chunk) run(student, first, nullptr, &sink, false, {});
  }

  void add_moments(const Student& student, std::span<Moments> moments) override {
    const OneThread one_thread;
    for (Stage& stage : stages_) stage.moments.clear(stage.output.lanes);
    for (int first = 0; first < images_; first += chunk) run(student, first, nullptr, nullptr, true, {});
    std::size_t at = 0;
    for (std::size_t l = 0; l < stages_.size(); ++l) {
      const LaneMoments& m = stages_[l].moments;
      const std::uint64_t count = std::uint64_t(images_) * shape(l).positions();
      for (int c = 0; c < shape(l).out_channels; ++c)
        moments[at++] += {count, m.sum[c], m.squares_low[c], m.squares_high[c]};
    }
  }

 private:
  /// A layer, prepared.
  struct Stage {
    OneDnnLayer product;
    CodeLayout output;
    LaneRequantization own;
    int site;                          // index into Student::tables; -1: exact
    int attention;                     // index into ForwardResult::attention; -1: none
    int map_size;                      // positions of its attention map
    std::vector<std::int32_t> offset;  // (lanes): makes sums of plain codes those of q - z_in
    LaneMoments moments{};             // of the call at work
    bool keeps = false;                // the codes in front of its table, for the next student
    std::vector<std::uint8_t> kept{};  // (chunk, kept_size()), of the chunk at work
    std::vector<std::uint8_t> out{};   // (chunk, output.size()), of the chunk at work

    /// An attention map needs the codes behind the table and before pooling.
    bool pools_late(const Layer& shape) const { return attention >= 0 && shape.pool > 1; }
  };

  const Layer& shape(std::size_t l) const { return model_.network.layers[l]; }

  /// The sums of image i of a tile.
  const std::int32_t* sums_of(std::size_t l, int i) const {
    return &sums_[std::size_t(i) * shape(l).positions() * stages_[l].output.lanes];
  }

  LaneRequantization lanes_of(std::size_t l, const Requantization& requantization) const {
    const QuantizedLayer& layer = model_.layers[l];
    LaneRequantization result{bias_of_plain_codes(layer, requantization.bias), requantization.multiplier,
                              layer.output.zero_point, lowest_code(shape(l), layer)};
    result.bias.resize(output_layout(shape(l)).lanes, 0);
    result.multiplier.resize(result.bias.size(), 0.0f);
    return result;
  }

  const Requantization* own_requantization(const Student& student, std::size_t l) const {
    return student.requantization.empty() || !student.requantization[l] ? nullptr : &*student.requantization[l];
  }

  /// Below, at or above zero: the order of two students in the layer's requantization, then in its table.
  int compare_requantization(const Student& a, const Student& b, std::size_t l) const {
    const Requantization *x = own_requantization(a, l), *y = own_requantization(b, l);
    if (!x || !y) return int(x != nullptr) - int(y != nullptr);
    const auto order = std::tie(x->bias, x->multiplier) <=> std::tie(y->bias, y->multiplier);
    return order < 0 ? -1 : order > 0 ? 1 : 0;
  }
  int compare_tables(const Student& a, const Student& b, std::size_t l) const {
    const int site = stages_[l].site;
    return site < 0 ? 0 : std::memcmp(a.tables[site].data(), b.tables[site].data(), sizeof(Table));
  }

  bool comes_before(const Student& a, const Student& b) const {
    for (std::size_t l = 0; l < stages_.size(); ++l) {
      if (const int order = compare_requantization(a, b, l)) return order < 0;
      if (const int order = compare_tables(a, b, l)) return order < 0;
    }
    return false;
  }

  Shared in_common(const Student& a, const Student& b) const {
    for (std::size_t l = 0; l < stages_.size(); ++l) {
      if (compare_requantization(a, b, l)) return {l, false};
      if (compare_tables(a, b, l)) return {l, true};
    }
    return {stages_.size(), false};
  }

  std::size_t kept_size(std::size_t l) const {
    const Stage& stage = stages_[l];
    return stage.pools_late(shape(l)) ? std::size_t(shape(l).positions()) * stage.output.lanes : stage.output.size();
  }

  void keep(std::size_t l) {
    stages_[l].keeps = true;
    stages_[l].kept.resize(chunk * kept_size(l));
  }

  /// The attention maps of the first `layers` layers for the chunk that begins at image `first`.
  void copy_maps(std::size_t layers, int first, const OwnedForwardResult& from, OwnedForwardResult& to) const {
    const int count = std::min(chunk, images_ - first);
    for (std::size_t l = 0; l < layers; ++l) {
      const Stage& stage = stages_[l];
      if (stage.attention < 0) continue;
      const auto begin = from.attention[stage.attention].begin() + std::ptrdiff_t(first) * stage.map_size;
      std::copy(begin, begin + std::ptrdiff_t(count) * stage.map_size,
                to.attention[stage.attention].begin() + std::ptrdiff_t(first) * stage.map_size);
    }
  }

  /// One chunk of images through all layers. moments: adds to those of the stages. shared: what the student before,
  /// on the same chunk, has done already.
  void run(const Student& student, int first, OwnedForwardResult* result, const TraceSink* sink, bool moments,
           Shared shared) {
    const int count = std::min(chunk, images_ - first);
    for (std::size_t l = shared.layers; l < stages_.size(); ++l) {
      Stage& stage = stages_[l];
      const std::uint8_t* const in = l == 0 ? &input_codes_[first * input_.size()] : stages_[l - 1].out.data();
      const std::size_t in_size = l == 0 ? input_.size() : stages_[l - 1].output.size();
      const Table* table = stage.site >= 0 ? &student.tables[stage.site] : nullptr;
      const Requantization* const replaced = own_requantization(student, l);
      if (replaced) replaced_ = lanes_of(l, *replaced);
      const LaneRequantization& requantization = replaced ? replaced_ : stage.own;
      const bool late = stage.pools_late(shape(l)), keeps = stage.keeps && result;
      const bool done = l == shared.layers && shared.codes;
      for (int i = 0; i < count; ++i) {
        std::uint8_t* const out = &stage.out[i * stage.output.size()];
        std::uint8_t* const codes = keeps ? &stage.kept[i * kept_size(l)] : late ? unpooled_.data() : out;
        if (!done) {
          if (i % tile == 0) stage.product.run(in + i * in_size, sums_.data());
          const std::int32_t* const sums = sums_of(l, i % tile);
          if (sink) show(l, requantization, sums, *sink);
          if (moments)
            kernels_.add_moments(sums, shape(l).positions(), stage.output.lanes, stage.offset.data(), stage.moments);
          kernels_.requantize(sums, shape(l).out_side, late ? 1 : shape(l).pool, requantization, codes);
        }
        finish(l, table, codes, first + i, out, result);
      }
    }
    if (result) {
      const int classes = model_.network.classes;
      const Stage& last = stages_.back();
      for (int i = 0; i < count; ++i)
        std::memcpy(&result->logit_codes[std::size_t(first + i) * classes], &last.out[i * last.output.size()], classes);
    }
  }

  /// From requantized codes of one image, still unpooled if the stage pools late, to its output and attention map.
  void finish(std::size_t l, const Table* table, const std::uint8_t* codes, int image, std::uint8_t* out,
              OwnedForwardResult* result) {
    const Stage& stage = stages_[l];
    const bool late = stage.pools_late(shape(l));
    std::uint8_t* const behind = late ? unpooled_.data() : out;
    const std::size_t size = late ? std::size_t(shape(l).positions()) * stage.output.lanes : stage.output.size();
    if (table) kernels_.apply_table(*table, codes, size, behind);
    else if (codes != behind) std::memcpy(behind, codes, size);
    if (result && stage.attention >= 0) {
      std::uint32_t* const map = &result->attention[stage.attention][std::size_t(image) * stage.map_size];
      if (shape(l).kind == LayerKind::fully_connected) kernels_.squares(behind, stage.map_size, 1, 1, map);
      else kernels_.squares(behind, stage.map_size, stage.output.lanes, stage.output.channels, map);
    }
    if (late) kernels_.pool(behind, shape(l).out_side, shape(l).pool, stage.output.lanes, out);
  }

  void show(std::size_t l, const LaneRequantization& requantization, const std::int32_t* sums, const TraceSink& sink) {
    const int positions = shape(l).positions(), lanes = stages_[l].output.lanes, channels = shape(l).out_channels;
    std::vector<std::uint8_t> lane_codes(std::size_t(positions) * lanes), codes(std::size_t(positions) * channels);
    std::vector<std::int32_t> accumulators(codes.size());
    kernels_.requantize(sums, shape(l).out_side, 1, requantization, lane_codes.data());
    for (int p = 0; p < positions; ++p) {
      for (int c = 0; c < channels; ++c) {
        accumulators[std::size_t(p) * channels + c] = sums[std::size_t(p) * lanes + c] + requantization.bias[c];
        codes[std::size_t(p) * channels + c] = lane_codes[std::size_t(p) * lanes + c];
      }
    }
    sink({l, 1, positions, channels, accumulators, codes});
  }

  const Problem& problem_;
  const QuantizedNetwork& model_;
  const RequantizeKernels& kernels_ = requantize_kernels().front();
  CodeLayout input_;
  std::vector<Stage> stages_;
  int images_ = 0;
  std::vector<OwnedForwardResult> owned_;  // of the last call
  std::vector<std::uint8_t> input_codes_;  // (images rounded up to tiles, input_.size())
  std::vector<std::int32_t> sums_;         // (tile, positions, lanes) of the layer at work
  std::vector<std::uint8_t> unpooled_;     // (positions, lanes) of one image
  LaneRequantization replaced_;            // a student's own
};

}  // namespace

std::unique_ptr<Engine> make_onednn_engine(const Problem& problem) { return std::make_unique<OneDnnEngine>(problem); }

}  // namespace triseg
