#include "importer/node_names.hpp"
#include "importer/pass.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace triseg {
namespace {

using Dims = std::vector<std::int64_t>;

Dims dims_of(const Shape& s, Order order) {
  switch (order) {
    case Order::nchw: return {1, s.channels, s.height, s.width};
    case Order::nhwc: return {1, s.height, s.width, s.channels};
    default: return {1, s.size()};
  }
}

bool flat(Order order) { return order == Order::flat_chw || order == Order::flat_hwc; }
bool channels_last(Order order) { return order == Order::nhwc || order == Order::flat_hwc; }
/// One order is as good as the other.
bool either(const Shape& s) { return s.channels == 1 || s.positions() == 1; }

}  // namespace

namespace {

/// The pads of all axes, of those of some; none where they do not fit.
Dims spread_pads(const Dims& pads, const Dims& axes, std::size_t rank) {
  Dims result(2 * rank, 0);
  if (pads.size() != 2 * axes.size()) return {};
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const std::int64_t axis = axes[i] < 0 ? axes[i] + std::int64_t(rank) : axes[i];
    if (axis < 0 || axis >= std::int64_t(rank)) return {};
    result[axis] = pads[i];
    result[axis + rank] = pads[i + axes.size()];
  }
  return result;
}

}  // namespace

Activation Pass::viewed(const OnnxNode& node, Activation x, Dims dims) {
  if (dims == x.dims) return x;
  const Shape s = x.shape;
  const bool groups = dims.size() == 5 && dims[0] == 1 && dims[1] * dims[2] == s.channels && dims[3] == s.height &&
                      dims[4] == s.width && (x.order == Order::nchw || x.order == Order::grouped);
  if (groups) {
    if (!x.codes) x = as_value(node, std::move(x));
    x.order = Order::grouped;
    x.dims = std::move(dims);
    return x;
  }
  if (x.order == Order::grouped) {
    x.order = Order::nchw;
    x.dims = dims_of(s, Order::nchw);
    return viewed(node, std::move(x), std::move(dims));
  }
  if (!x.channels.empty()) x = builder_.select(node, std::move(x));
  const bool last = channels_last(x.order), free = either(s);
  if (dims == dims_of(s, Order::nchw) && (!last || free)) x.order = Order::nchw;
  else if (dims == dims_of(s, Order::nhwc) && (last || free)) x.order = Order::nhwc;
  else if (dims.size() <= 2 && dims.size() > 0 && dims.back() == s.size())
    x.order = last ? Order::flat_hwc : Order::flat_chw;
  else
    graph_.refuse(node, "makes [{}] of [{}]; only flattening a plane, and its reverse, can be imported",
                  fmt::join(dims, ", "), fmt::join(x.dims, ", "));
  x.dims = std::move(dims);
  return x;
}

void Pass::identity(const OnnxNode& node) {
  if (node.operation == "Cast" && node.integer("to", 1) != 1)
    graph_.refuse(node, "turns an activation into another type; only float can be imported");
  put(node, input(node, 0, {.pads = true, .channels = true}));
}

void Pass::shape(const OnnxNode& node) {
  Activation x = input(node, 0, {.pads = true, .channels = true});
  if (x.pads.any()) {
    const int y = x.order == Order::nchw ? 2 : 1;
    x.dims[y] += x.pads.top + x.pads.bottom;
    x.dims[y + 1] += x.pads.left + x.pads.right;
  }
  const std::int64_t rank = std::int64_t(x.dims.size());
  const auto within = [&](std::int64_t axis) {
    return std::clamp<std::int64_t>(axis < 0 ? axis + rank : axis, 0, rank);
  };
  const std::int64_t start = within(node.integer("start", 0)), end = std::max(start, within(node.integer("end", rank)));
  OnnxTensor result{{end - start}, OnnxTensor::Type::int64, {}, std::nullopt};
  result.values = std::vector<double>(x.dims.begin() + start, x.dims.begin() + end);
  graph_.constants[node.outputs.front()] = std::move(result);
}

void Pass::flatten(const OnnxNode& node) {
  Activation x = input(node, 0);
  const std::int64_t axis = node.integer("axis", 1);
  if (axis != 1 && axis != 1 - std::int64_t(x.dims.size()))
    graph_.refuse(node, "flattens at axis {}; expected 1", axis);
  put(node, viewed(node, std::move(x), {1, x.shape.size()}));
}

void Pass::reshape(const OnnxNode& node) {
  Activation x = input(node, 0, {.channels = true});
  std::vector<double> wanted;
  if (node.has("shape")) {
    const Dims given = node.integers("shape", {});
    wanted.assign(given.begin(), given.end());
  } else {
    wanted = needed_constant(graph_, node, 1, "shape").values.reals();
  }
  // A batch is one image here.
  if (batch_ > 1 && !wanted.empty() && wanted.front() == double(batch_)) wanted.front() = 1;
  Dims dims = reshaped(graph_, node, x.dims, wanted);
  put(node, viewed(node, std::move(x), std::move(dims)));
}

void Pass::squeeze(const OnnxNode& node) {
  Activation x = input(node, 0);
  Dims dims = squeezed(graph_, node, x.dims);
  put(node, viewed(node, std::move(x), std::move(dims)));
}

void Pass::transpose(const OnnxNode& node) {
  Activation x = input(node, 0, {.channels = true});
  Dims order(x.dims.size());
  std::iota(order.rbegin(), order.rend(), 0);
  order = node.integers("perm", order);
  Dims same(x.dims.size()), dims;
  std::iota(same.begin(), same.end(), 0);
  if (!std::is_permutation(order.begin(), order.end(), same.begin(), same.end()))
    graph_.refuse(node, "puts {} axes in the order [{}]", same.size(), fmt::join(order, ", "));
  for (const std::int64_t d : order) dims.push_back(x.dims[d]);
  if (x.order == Order::grouped && order == Dims{0, 2, 1, 3, 4}) {
    std::vector<int> shuffled;
    for (int inner = 0; inner < x.dims[2]; ++inner)
      for (int group = 0; group < x.dims[1]; ++group) {
        const int channel = int(group * x.dims[2]) + inner;
        shuffled.push_back(x.channels.empty() ? channel : x.channels[channel]);
      }
    x.channels = std::move(shuffled);
  } else if (order == Dims{0, 3, 1, 2} && x.order == Order::nhwc) x.order = Order::nchw;
  else if (order == Dims{0, 2, 3, 1} && x.order == Order::nchw) x.order = Order::nhwc;
  else if (order != same)
    graph_.refuse(node, "puts axes in the order [{}]; only moving channels to the end or back can be imported",
                  fmt::join(order, ", "));
  x.dims = dims;
  put(node, std::move(x));
}

void Pass::pad(const OnnxNode& node) {
  Activation x = input(node, 0, {.pads = true, .channels = true});
  auto pads = integers_of(graph_, node, "pads", 1);
  if (pads && node.has_input(3)) pads = spread_pads(*pads, integers_of(graph_, node, "axes", 3).value(), x.dims.size());
  if (node.text("mode", "constant") != "constant") graph_.refuse(node, "pads with copies; only zeros can be imported");
  double filling = node.real("value", 0);
  if (node.has_input(2)) filling = needed_constant(graph_, node, 2, "value").real(0);
  if (x.codes && x.kind == Activation::Kind::image)
    graph_.refuse(node, "pads integers whose zero point is not known yet; put DequantizeLinear before it");
  if (x.codes) filling -= builder_.scale_of(x.value).zero_point;
  if (x.dims.size() != 4 || !pads || pads->size() != 8) graph_.refuse(node, "pads something else than a plane");
  if (filling != 0) graph_.refuse(node, "pads with {}; only zeros can be imported", filling);
  const int y = x.order == Order::nchw ? 2 : 1, c = x.order == Order::nchw ? 1 : 3;
  const auto& p = *pads;
  if (p[0] || p[4] || p[c] || p[c + 4]) graph_.refuse(node, "pads images or channels; only planes can be imported");
  for (const std::int64_t side : p)
    if (side < 0 || side > 4096) graph_.refuse(node, "pads by {}; only zeros around a plane can be imported", side);
  x.pads.top += int(p[y]), x.pads.left += int(p[y + 1]);
  x.pads.bottom += int(p[y + 4]), x.pads.right += int(p[y + 5]);
  put(node, std::move(x));
}

std::size_t Pass::channel_axis(const OnnxNode& node, const Activation& x, std::int64_t axis) const {
  if (axis < 0) axis += std::int64_t(x.dims.size());
  const std::int64_t channels = x.order == Order::nhwc ? 3 : 1;
  if (x.dims.size() != 4 || axis != channels)
    graph_.refuse(node, "takes parts of [{}] along axis {}; only of channels can be imported", fmt::join(x.dims, ", "),
                  axis);
  return static_cast<std::size_t>(axis);
}

Activation Pass::chosen(const OnnxNode& node, Activation x, const Dims& channels) {
  if (channels.empty() || channels.size() > 1 << 16) graph_.refuse(node, "takes {} channels", channels.size());
  if (!x.codes) {
    x = as_value(node, std::move(x));
    tensors_[node.inputs.front()] = x;
  }
  std::vector<int> found;
  for (const std::int64_t c : channels) {
    if (c < 0 || c >= x.shape.channels) graph_.refuse(node, "takes channel {} of {}", c, x.shape.channels);
    found.push_back(x.channels.empty() ? int(c) : x.channels[c]);
  }
  x.channels = std::move(found);
  x.shape.channels = int(channels.size());
  x.dims[x.order == Order::nhwc ? 3 : 1] = x.shape.channels;
  x.sole = false;
  return x;
}

void Pass::slice(const OnnxNode& node) {
  const Activation x = input(node, 0, {.channels = true});
  const auto starts = integers_of(graph_, node, "starts", 1), ends = integers_of(graph_, node, "ends", 2);
  if (!starts || !ends || starts->size() != ends->size()) graph_.refuse(node, "has no start and end for each axis");
  Dims axes(starts->size());
  std::iota(axes.begin(), axes.end(), 0);
  axes = integers_of(graph_, node, "axes", 3).value_or(axes);
  const Dims steps = integers_of(graph_, node, "steps", 4).value_or(Dims(starts->size(), 1));
  if (axes.size() != starts->size() || steps.size() != starts->size())
    graph_.refuse(node, "has no start and end for each axis");
  Dims channels(x.shape.channels);
  std::iota(channels.begin(), channels.end(), 0);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const std::int64_t rank = std::int64_t(x.dims.size()), axis = axes[i] < 0 ? axes[i] + rank : axes[i];
    const std::int64_t size = axis >= 0 && axis < rank ? x.dims[axis] : 0;
    const auto within = [&](std::int64_t at) { return std::clamp<std::int64_t>(at < 0 ? at + size : at, 0, size); };
    const std::int64_t start = within((*starts)[i]), end = within((*ends)[i]);
    if (start == 0 && end == size && steps[i] == 1) continue;
    channel_axis(node, x, axis);
    if (steps[i] < 1) graph_.refuse(node, "takes steps of {}; only forward ones can be imported", steps[i]);
    Dims part;
    for (std::int64_t c = start; c < end; c += steps[i]) part.push_back(c);
    channels = std::move(part);
  }
  put(node, chosen(node, x, channels));
}

void Pass::split(const OnnxNode& node) {
  const Activation x = input(node, 0, {.channels = true});
  channel_axis(node, x, node.integer("axis", 0));
  const std::int64_t count = std::int64_t(node.outputs.size());
  Dims sizes = integers_of(graph_, node, "split", 1).value_or(Dims{});
  if (sizes.empty()) {
    const std::int64_t each = (x.shape.channels + count - 1) / count;
    for (std::int64_t i = 0; i < count; ++i)
      sizes.push_back(std::clamp<std::int64_t>(x.shape.channels - i * each, 0, each));
  }
  if (std::int64_t(sizes.size()) != count) graph_.refuse(node, "has {} sizes for {} outputs", sizes.size(), count);
  std::int64_t first = 0;
  OnnxNode part = node;
  for (std::int64_t i = 0; i < count; ++i) {
    if (sizes[i] < 1 || sizes[i] > x.shape.channels - first)
      graph_.refuse(node, "splits {} channels into [{}]", x.shape.channels, fmt::join(sizes, ", "));
    Dims channels(sizes[i]);
    std::iota(channels.begin(), channels.end(), first);
    first += sizes[i];
    part.outputs = {node.outputs[i]};
    if (!part.outputs.front().empty()) put(part, chosen(node, x, channels));
  }
}

void Pass::gather(const OnnxNode& node) {
  const Activation x = input(node, 0, {.channels = true});
  channel_axis(node, x, node.integer("axis", 0));
  const OnnxTensor& at = needed_constant(graph_, node, 1, "index");
  if (at.dims.size() != 1) graph_.refuse(node, "gathers by indices of [{}]; expected a list", fmt::join(at.dims, ", "));
  Dims channels;
  for (std::size_t i = 0; i < at.values.size(); ++i) {
    const double c = std::clamp(at.real(i), -1e6, 1e6);
    channels.push_back(std::int64_t(c < 0 ? c + x.shape.channels : c));
  }
  put(node, chosen(node, x, channels));
}

void Pass::concat(const OnnxNode& node) {
  std::vector<Activation> parts;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) parts.push_back(input(node, i));
  Activation result = concatenated(node, parts);
  if (parts.front().codes) {
    // Integers that are joined as they are.
    const OnnxScale scale = builder_.scale_of(parts.front().value);
    for (const Activation& part : parts)
      if (!part.codes || builder_.scale_of(part.value) != scale)
        graph_.refuse(node, "joins integers of different scales; use QLinearConcat");
    result = builder_.quantize(node, std::move(result), scale, sole(node));
  }
  put(node, std::move(result));
}

Activation Pass::concatenated(const OnnxNode& node, std::vector<Activation> parts) {
  if (parts.empty()) graph_.refuse(node, "has no inputs");
  Activation result = parts.front();
  const std::size_t rank = result.dims.size();
  std::int64_t axis = node.integer("axis", 1);
  if (axis < 0) axis += std::int64_t(rank);
  const std::int64_t channels = result.order == Order::nhwc ? 3 : 1;
  if (axis != channels)
    graph_.refuse(node, "joins along axis {}; only channels, axis {}, can be joined", axis, channels);
  result.kind = Activation::Kind::draft;
  result.draft = {};
  Draft& draft = result.draft;
  draft.node.operation = Operation::concatenate;
  draft.node.name = node_name(node);
  std::int64_t size = 0;
  for (const Activation& part : parts) {
    if (part.kind == Activation::Kind::draft)
      graph_.refuse(node, "its input, made by {}, is not quantized; put QuantizeLinear and DequantizeLinear between",
                    part.draft.node.name);
    if (part.kind == Activation::Kind::image) graph_.refuse(node, "its input, the image, is not quantized");
    if (part.dims.size() != rank || rank < 2) graph_.refuse(node, "joins tensors of different or too few axes");
    if (part.order != result.order && !(flat(part.order) && flat(result.order) && either(part.shape)))
      graph_.refuse(node, "joins tensors of different layouts");
    if (part.order == Order::flat_hwc && !either(part.shape))
      graph_.refuse(node, "joins flattened planes whose channels come last");
    draft.node.inputs.push_back(part.value);
    draft.tails.push_back(part.tail);
    size += part.dims[axis];
  }
  draft.may_fold_relu = true;
  result.tail = {};
  result.codes = false;
  result.sole = true;
  result.shape = builder_.shape_of(node, draft.node);
  result.dims[axis] = size;
  return result;
}

}  // namespace triseg
