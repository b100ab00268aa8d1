#include "worker/engines/self_test.hpp"

#include "core/error.hpp"
#include "core/philox.hpp"
#include "worker/distillation.hpp"
#include "worker/reference_operations.hpp"

#include <algorithm>

namespace triseg {
namespace {

constexpr std::uint16_t label = 0;
constexpr double temperature = 2;

/// (positions, channels) -> (channels, positions)
std::vector<std::uint8_t> planes(const Shape& shape, const std::vector<std::uint8_t>& codes) {
  std::vector<std::uint8_t> result(codes.size());
  const std::size_t positions = shape.positions(), channels = shape.channels;
  for (std::size_t i = 0; i < codes.size(); ++i) result[i % channels * positions + i / channels] = codes[i];
  return result;
}

OwnedForwardResult forward(Engine& engine, const Student& student) {
  ForwardResult result;
  engine.forward(std::span(&student, 1), std::span(&result, 1));
  return OwnedForwardResult(result);
}

}  // namespace

SelfTest::SelfTest(const Problem& problem)
    : problem_(problem),
      image_(problem.network().input.size()),
      candidate_(student(problem, std::vector<Codes>(problem.sites.size(), Codes{9, 18, 27, 45, 60}))) {
  for (std::size_t i = 0; i < image_.size(); ++i)
    image_[i] = static_cast<std::uint8_t>(uniform_below(256, 0, Stream::self_test, i));
}

std::vector<SelfTest::Traced> SelfTest::trace(Engine& engine) const {
  std::vector<Traced> all(problem_.network().nodes.size());
  engine.trace(candidate_, [&](const NodeTrace& t) {
    all[t.node].accumulators.insert(all[t.node].accumulators.end(), t.accumulators.begin(), t.accumulators.end());
    all[t.node].codes.insert(all[t.node].codes.end(), t.codes.begin(), t.codes.end());
  });
  return all;
}

std::vector<std::vector<std::uint8_t>> SelfTest::values_of(const std::vector<Traced>& traced) const {
  std::vector<std::vector<std::uint8_t>> values;
  for (std::size_t i = 0; i < traced.size(); ++i) {
    values.push_back(traced[i].codes);
    if (const int site = problem_.site_of(i); site >= 0)
      for (std::uint8_t& q : values.back()) q = candidate_.tables[site][q];
  }
  return values;
}

std::optional<std::string> SelfTest::first_difference(const std::vector<Traced>& traced) const {
  const Network& network = problem_.network();
  const double share = self_test_share(network);
  auto values = values_of(traced);
  for (std::size_t i = 0; i < traced.size(); ++i) {
    const Node& node = network.nodes[i];
    const bool accumulates = node.operation == Operation::convolution;
    if (traced[i].codes.size() != std::size_t(node.shape.size()) ||
        traced[i].accumulators.size() != (accumulates ? traced[i].codes.size() : 0))
      return node.name;
    values[i] = planes(node.shape, values[i]);
    const int count = node.shape.positions();
    const auto positions = some_of(count, int(share * count));
    std::vector<std::span<const std::uint8_t>> inputs;
    for (const int input : node.inputs) inputs.push_back(input == image_value ? image_ : values[input]);
    const ReferenceOutput expected =
        reference_node(problem_.model, i, inputs, problem_.model.nodes[i].requantization, positions);
    for (std::size_t k = 0; k < expected.codes.size(); ++k) {
      const std::size_t channels = node.shape.channels, at = positions[k / channels] * channels + k % channels;
      if (traced[i].codes[at] != expected.codes[k]) return node.name;
      if (accumulates && traced[i].accumulators[at] != expected.accumulators[k]) return node.name;
    }
  }
  return {};
}

OwnedForwardResult SelfTest::result_of(const std::vector<Traced>& traced) const {
  const auto& nodes = problem_.network().nodes;
  const auto values = values_of(traced);
  OwnedForwardResult result;
  result.logit_codes = planes(nodes.back().shape, values.back());
  for (const std::size_t i : problem_.attention) {
    const std::size_t positions = map_positions(nodes[i].shape), channels = nodes[i].shape.size() / positions;
    auto& map = result.attention.emplace_back(positions, 0);
    for (std::size_t k = 0; k < values[i].size(); ++k) map[k / channels] += std::uint32_t(values[i][k]) * values[i][k];
  }
  return result;
}

void SelfTest::check(Engine& engine) {
  const auto differs = [&](std::string_view what) {
    fail("engine {}: its start-up self-test{} than the reference; --engine reference works", engine.name(), what);
  };
  engine.load_images(image_, 1);
  const std::vector<Traced> traced = trace(engine);
  {
    const std::lock_guard lock(mutex_);
    if (traced != right_) {
      if (const auto node = first_difference(traced)) differs(fmt::format(" of node {} gives other codes", *node));
      if (!right_.empty()) differs(" gives other codes in another thread");
      right_ = traced;
    }
  }
  const OwnedForwardResult approximated = forward(engine, candidate_);
  if (approximated != result_of(traced)) differs(" gives other codes");
  if (DeviceScoring* device = engine.device_scoring()) {
    const OwnedForwardResult exact = forward(engine, teacher(problem_));
    const Score expected =
        TeacherTarget(problem_.model, exact.view(), std::span(&label, 1), temperature).score(approximated.view());
    Score scored;
    device->score(std::span(&candidate_, 1), std::span(&label, 1), temperature, std::span(&scored, 1), [] {});
    if (scored != expected) differs(" gives other scores");
  }
}

}  // namespace triseg
