#include "importer/builder.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace triseg {

std::optional<OnnxScale> Builder::natural_scale(const Draft& draft) const {
  if (draft.node.operation != Operation::average && draft.node.operation != Operation::concatenate) return std::nullopt;
  const OnnxScale& scale = scale_of(draft.node.inputs.front());
  for (std::size_t i = 0; i < draft.tails.size(); ++i)
    if (!draft.tails[i].plain() || !scale_of(draft.node.inputs[i]).same_numbers(scale)) return std::nullopt;
  return scale;
}

Builder::Range Builder::range(int value) const {
  const CodeScale& scale = network.scale(value);
  const int lowest = value == image_value ? 0 : network.nodes[value].lowest;
  const int highest = value == image_value ? 255 : network.nodes[value].highest;
  return {scale.scale * (lowest - scale.zero_point), scale.scale * (highest - scale.zero_point)};
}

namespace {

/// What inputs within half of their range can make of a convolution.
Builder::Range half_range(const Draft& draft, const Builder::Range& input, double input_scale) {
  const std::size_t channels = draft.numbers.weight_scale.size(), fan_in = draft.numbers.weights.size() / channels;
  Builder::Range result{0, 0};
  for (std::size_t c = 0; c < channels; ++c) {
    double down = 0, up = 0;
    for (std::size_t i = 0; i < fan_in; ++i) {
      const double w = draft.numbers.weights[c * fan_in + i];
      const double a = w * input.least / 2, b = w * input.most / 2;
      down += std::min(a, b);
      up += std::max(a, b);
    }
    const double bias = input_scale * (draft.bias.empty() ? 0 : draft.bias[c]);
    result.least = std::min(result.least, draft.numbers.weight_scale[c] * (down + bias));
    result.most = std::max(result.most, draft.numbers.weight_scale[c] * (up + bias));
  }
  return result;
}

}  // namespace

Builder::Range Builder::logit_range(const OnnxNode& at, const Activation& logits) const {
  if (logits.kind == Activation::Kind::value) {
    const CodeScale& scale = network.scale(logits.value);
    Range result{std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
    for (int q = network.nodes[logits.value].lowest; q <= network.nodes[logits.value].highest; ++q) {
      const double x = logits.tail(scale, q);
      result = {std::min(result.least, x), std::max(result.most, x)};
    }
    return result;
  }
  const Draft& draft = logits.draft;
  const Range first = range(draft.node.inputs.front());
  if (draft.node.operation == Operation::convolution)
    return half_range(draft, first, network.scale(draft.node.inputs.front()).scale);
  if (draft.node.operation == Operation::add) {
    const Range second = range(draft.node.inputs.back());
    return {first.least + second.least, first.most + second.most};
  }
  graph_.refuse(at, "its output, the logits, has no scale; quantize the output, too");
}

Activation Builder::close(const OnnxNode& at, Activation logits) {
  std::optional<OnnxScale> scale;
  if (logits.kind == Activation::Kind::draft) scale = natural_scale(logits.draft);
  if (!scale) {
    const Range covered = logit_range(at, logits);
    const double least = std::min(0.0, covered.least), most = std::max(0.0, covered.most);
    scale = OnnxScale{double(float((most - least) / 255)), 0, 0, 255};
    if (!(scale->scale > 0) || !std::isfinite(scale->scale)) graph_.refuse(at, "makes logits that are always the same");
    scale->zero_point = static_cast<int>(std::clamp(std::nearbyint(-least / scale->scale), 0.0, 255.0));
  }
  notes.push_back(fmt::format("{}: the file gives the logits no scale; theirs is {:.6g}", label(at), scale->scale));
  logits.draft.may_fold_relu = false;
  return quantize(at, std::move(logits), *scale, true);
}

}  // namespace triseg
