#include "worker/reference_engine.hpp"

#include <algorithm>
#include <cmath>

namespace triseg {

std::uint8_t requantize(std::int32_t accumulator, float multiplier, int zero_point, int lowest) {
  const float scaled = std::nearbyint(static_cast<float>(accumulator) * multiplier);  // half to even
  // Clamp in float first: an int conversion of a huge value would be undefined.
  return static_cast<std::uint8_t>(
      std::clamp(scaled + static_cast<float>(zero_point), static_cast<float>(lowest), 255.0f));
}

std::vector<std::int32_t> reference_accumulators(const Layer& shape, const QuantizedLayer& layer,
                                                 std::span<const std::int32_t> bias,
                                                 std::span<const std::uint8_t> codes, int images) {
  const int in = shape.in_channels, out = shape.out_channels, side = shape.in_side, k = shape.kernel;
  const int z = layer.input.zero_point;
  std::vector<std::int32_t> accumulators(std::size_t(images) * shape.positions() * out);
  std::size_t at = 0;
  for (int n = 0; n < images; ++n) {
    const std::uint8_t* image = &codes[std::size_t(n) * in * side * side];
    for (int oy = 0; oy < shape.out_side; ++oy) {
      for (int ox = 0; ox < shape.out_side; ++ox) {
        const int y0 = oy * shape.stride - shape.padding, x0 = ox * shape.stride - shape.padding;
        for (int c = 0; c < out; ++c) {
          std::int32_t sum = bias[c];
          for (int i = 0; i < in; ++i) {
            const std::int8_t* w = &layer.weights[(std::size_t(c) * in + i) * k * k];
            const std::uint8_t* plane = image + std::size_t(i) * side * side;
            for (int ky = 0; ky < k; ++ky) {
              const int y = y0 + ky;
              if (y < 0 || y >= side) continue;  // padding is real zero: it adds nothing
              for (int kx = 0; kx < k; ++kx) {
                const int x = x0 + kx;
                if (x >= 0 && x < side) sum += (plane[y * side + x] - z) * w[ky * k + kx];
              }
            }
          }
          accumulators[at++] = sum;
        }
      }
    }
  }
  return accumulators;
}

namespace {

class ReferenceEngine final : public Engine {
 public:
  explicit ReferenceEngine(const Problem& problem) : problem_(problem), model_(problem.model) {}

  std::string_view name() const override { return "reference"; }
  std::string description() const override { return "plain loops"; }

  void load_images(std::span<const std::uint8_t> codes, int images) override {
    input_.assign(codes.begin(), codes.end());
    images_ = images;
  }

  void forward(std::span<const Student> students, std::span<ForwardResult> results) override {
    owned_.resize(std::max(owned_.size(), students.size()));
    for (std::size_t i = 0; i < students.size(); ++i) {
      run(students[i], nullptr, &owned_[i], {});
      results[i] = owned_[i].view();
    }
  }

  void add_moments(const Student& student, std::span<Moments> moments) override {
    run(student, nullptr, nullptr, moments);
  }

  void trace(const Student& student, const TraceSink& sink) override { run(student, &sink, nullptr, {}); }

 private:
  /// moments: (channels of all layers), or empty.
  void run(const Student& student, const TraceSink* sink, OwnedForwardResult* result, std::span<Moments> moments) {
    const auto& layers = model_.network.layers;
    std::vector<std::uint8_t> activations = input_;  // (N, C, H, W)
    if (result) result->attention.resize(problem_.attention.size());
    for (std::size_t l = 0; l < layers.size(); ++l) {
      const Layer& shape = layers[l];
      const QuantizedLayer& layer = model_.layers[l];
      const Requantization& own = layer.requantization;
      const Requantization& used = student.requantization.empty() ? own : student.requantization[l].value_or(own);
      const auto accumulators = reference_accumulators(shape, layer, used.bias, activations, images_);
      std::vector<std::uint8_t> codes(accumulators.size());  // (N, positions, C)
      for (std::size_t i = 0; i < codes.size(); ++i)
        codes[i] = requantize(accumulators[i], used.multiplier[i % shape.out_channels], layer.output.zero_point,
                              lowest_code(shape, layer));
      if (!moments.empty()) {
        for (std::size_t i = 0; i < accumulators.size(); ++i)
          moments[i % shape.out_channels].add(accumulators[i] - used.bias[i % shape.out_channels]);
        moments = moments.subspan(shape.out_channels);
      }
      if (sink) (*sink)({l, images_, shape.positions(), shape.out_channels, accumulators, codes});
      if (const int site = problem_.site_of(l); site >= 0) {
        const Table& table = student.tables[site];
        for (std::uint8_t& q : codes) q = table[q];
      }
      if (const int map = problem_.attention_of(l); result && map >= 0)
        result->attention[map] = attention_map(shape, codes);
      activations = pool(shape, codes);
    }
    if (result) result->logit_codes = activations;
  }

  std::vector<std::uint32_t> attention_map(const Layer& shape, std::span<const std::uint8_t> codes) const {
    const bool flat = shape.kind == LayerKind::fully_connected;
    const int positions = flat ? shape.out_channels : shape.positions(), channels = flat ? 1 : shape.out_channels;
    std::vector<std::uint32_t> map(std::size_t(images_) * positions, 0);
    for (std::size_t i = 0; i < codes.size(); ++i) map[i / channels] += std::uint32_t(codes[i]) * codes[i];
    return map;
  }

  /// (N, positions, C) -> (N, C, pooled_side, pooled_side), the maximum over each window.
  std::vector<std::uint8_t> pool(const Layer& shape, std::span<const std::uint8_t> codes) const {
    std::vector<std::uint8_t> out(std::size_t(images_) * shape.output_size(), 0);
    for (int n = 0; n < images_; ++n)
      for (int y = 0; y < shape.pooled_side * shape.pool; ++y)
        for (int x = 0; x < shape.pooled_side * shape.pool; ++x)
          for (int c = 0; c < shape.out_channels; ++c) {
            auto& q = out[((std::size_t(n) * shape.out_channels + c) * shape.pooled_side + y / shape.pool) *
                              shape.pooled_side +
                          x / shape.pool];
            q = std::max(q,
                         codes[((std::size_t(n) * shape.out_side + y) * shape.out_side + x) * shape.out_channels + c]);
          }
    return out;
  }

  const Problem& problem_;
  const QuantizedNetwork& model_;
  std::vector<std::uint8_t> input_;
  int images_ = 0;
  std::vector<OwnedForwardResult> owned_;  // of the last call
};

}  // namespace

std::unique_ptr<Engine> make_reference_engine(const Problem& problem) {
  return std::make_unique<ReferenceEngine>(problem);
}

}  // namespace triseg
