#include "worker/reference_engine.hpp"

#include "worker/reference_operations.hpp"

#include <algorithm>
#include <numeric>

namespace triseg {
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
  /// moments: (channels of all convolutions), or empty.
  void run(const Student& student, const TraceSink* sink, OwnedForwardResult* result, std::span<Moments> moments) {
    const auto& nodes = model_.network.nodes;
    std::vector<std::vector<std::uint8_t>> values(nodes.size());  // (N, C, H, W)
    if (result) result->attention.resize(problem_.attention.size());
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      const int channels = nodes[i].shape.channels;
      const Requantization& used = student.requantization_of(model_, i);
      ReferenceOutput output = compute(i, values, used);
      if (!moments.empty() && nodes[i].operation == Operation::convolution) {
        for (std::size_t k = 0; k < output.accumulators.size(); ++k)
          moments[k % channels].add(output.accumulators[k] - used.bias[k % channels]);
        moments = moments.subspan(channels);
      }
      if (sink) (*sink)({i, images_, nodes[i].shape.positions(), channels, output.accumulators, output.codes});
      if (const int site = problem_.site_of(i); site >= 0)
        for (std::uint8_t& q : output.codes) q = student.tables[site][q];
      if (const int map = problem_.attention_of(i); result && map >= 0)
        result->attention[map] = attention_map(nodes[i].shape, output.codes);
      values[i] = planes(nodes[i].shape, output.codes);
    }
    if (result) result->logit_codes = std::move(values.back());
  }

  /// (N, positions, C)
  ReferenceOutput compute(std::size_t number, const std::vector<std::vector<std::uint8_t>>& values,
                          const Requantization& used) const {
    const Node& node = model_.network.nodes[number];
    std::vector<int> positions(node.shape.positions());
    std::iota(positions.begin(), positions.end(), 0);
    ReferenceOutput all;
    for (int n = 0; n < images_; ++n) {
      std::vector<std::span<const std::uint8_t>> inputs;
      for (const int value : node.inputs) {
        const std::size_t size = model_.network.shape(value).size();
        inputs.push_back(std::span(value == image_value ? input_ : values[value]).subspan(n * size, size));
      }
      const ReferenceOutput one = reference_node(model_, number, inputs, used, positions);
      all.accumulators.insert(all.accumulators.end(), one.accumulators.begin(), one.accumulators.end());
      all.codes.insert(all.codes.end(), one.codes.begin(), one.codes.end());
    }
    return all;
  }

  std::vector<std::uint32_t> attention_map(const Shape& shape, std::span<const std::uint8_t> codes) const {
    const int positions = map_positions(shape), channels = shape.size() / positions;
    std::vector<std::uint32_t> map(std::size_t(images_) * positions, 0);
    for (std::size_t i = 0; i < codes.size(); ++i) map[i / channels] += std::uint32_t(codes[i]) * codes[i];
    return map;
  }

  /// (N, positions, C) -> (N, C, positions)
  std::vector<std::uint8_t> planes(const Shape& shape, std::span<const std::uint8_t> codes) const {
    std::vector<std::uint8_t> out(codes.size());
    const std::size_t positions = shape.positions(), channels = shape.channels;
    for (std::size_t i = 0; i < codes.size(); ++i)
      out[(i / channels / positions * channels + i % channels) * positions + i / channels % positions] = codes[i];
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
