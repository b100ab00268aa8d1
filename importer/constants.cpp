#include "importer/constants.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>

namespace triseg {
namespace {

using Type = OnnxTensor::Type;

/// Elements that arithmetic on shapes may have, and the largest size.
constexpr std::int64_t most_elements = std::int64_t{1} << 31;

std::int64_t product(const std::vector<std::int64_t>& dims) {
  return std::accumulate(dims.begin(), dims.end(), std::int64_t{1}, std::multiplies<>());
}

/// The type that an attribute names.
Type type_of_number(std::int64_t number) {
  switch (number) {
    case 1:
    case 11: return Type::real;
    case 2: return Type::uint8;
    case 3: return Type::int8;
    case 6: return Type::int32;
    case 7: return Type::int64;
    default: return Type::other;
  }
}

OnnxTensor integers(std::vector<std::int64_t> dims, std::vector<double> values) {
  return {std::move(dims), Type::int64, std::move(values), std::nullopt};
}

/// The axis counted from the first. Throws Error if there is none such.
std::int64_t positive_axis(const OnnxGraph& graph, const OnnxNode& node, std::int64_t axis, std::size_t rank) {
  const auto axes = static_cast<std::int64_t>(rank);
  if (axis < -axes || axis >= axes) graph.refuse(node, "has no axis {} of {}", axis, axes);
  return axis < 0 ? axis + axes : axis;
}

OnnxTensor plain(const OnnxTensor& tensor) {
  OnnxTensor result = tensor;
  if (!tensor.quantized) return result;
  std::vector<double>& values = result.values.changed();
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = tensor.real(i);
  result.quantized.reset();
  return result;
}

/// One of the four operations; one operand may be a scalar.
OnnxTensor arithmetic(const OnnxGraph& graph, const OnnxNode& node, const OnnxTensor& a, const OnnxTensor& b) {
  if (a.size() != b.size() && !a.scalar() && !b.scalar())
    graph.refuse(node, "computes with constants of different sizes; fold them before the import");
  OnnxTensor result = plain(a.scalar() ? b : a);
  std::vector<double>& values = result.values.changed();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double x = a.real(a.scalar() ? 0 : i), y = b.real(b.scalar() ? 0 : i);
    double& z = values[i];
    z = node.operation == "Add" ? x + y : node.operation == "Sub" ? x - y : node.operation == "Mul" ? x * y : x / y;
    if (a.type != Type::real) z = std::trunc(z);
    else z = static_cast<float>(z);
  }
  return result;
}

OnnxTensor gather(const OnnxGraph& graph, const OnnxNode& node, const OnnxTensor& data, const OnnxTensor& at) {
  if (data.dims.size() != 1 || node.integer("axis", 0) != 0) graph.refuse(node, "gathers from a constant of two axes");
  OnnxTensor result{at.dims, data.type, {}, std::nullopt};
  for (const double x : at.values) {
    const double i = x < 0 ? x + double(data.size()) : x;
    if (!(i >= 0 && i < double(data.size()))) graph.refuse(node, "gathers element {} of {}", x, data.size());
    result.values.push_back(data.real(static_cast<std::size_t>(i)));
  }
  return result;
}

OnnxTensor slice(const OnnxGraph& graph, const OnnxNode& node, const OnnxTensor& data) {
  const auto starts = integers_of(graph, node, "starts", 1), ends = integers_of(graph, node, "ends", 2);
  const auto steps = integers_of(graph, node, "steps", 4);
  if (data.dims.size() != 1 || !starts || !ends || starts->size() != 1 || (steps && steps->front() != 1))
    graph.refuse(node, "slices a constant of two axes, or with steps");
  const std::int64_t size = data.size();
  const auto within = [&](std::int64_t x) { return std::clamp<std::int64_t>(x < 0 ? x + size : x, 0, size); };
  const std::int64_t first = within(starts->front()), last = std::max(first, within(ends->front()));
  OnnxTensor result{{last - first}, data.type, {}, std::nullopt};
  for (std::int64_t i = first; i < last; ++i) result.values.push_back(data.real(i));
  return result;
}

OnnxTensor concatenated(const OnnxGraph& graph, const OnnxNode& node) {
  OnnxTensor result;
  result.dims = {0};
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    const OnnxTensor& part = needed_constant(graph, node, i, "input");
    if (part.dims.size() > 1) graph.refuse(node, "joins constants of two axes");
    if (result.size() + part.size() > 1 << 20) graph.refuse(node, "joins more than 2^20 numbers");
    result.type = part.type;
    for (std::size_t k = 0; k < part.values.size(); ++k) result.values.push_back(part.real(k));
  }
  result.dims[0] = result.size();
  return result;
}

}  // namespace

std::vector<std::int64_t> squeezed(const OnnxGraph& graph, const OnnxNode& node, std::vector<std::int64_t> dims) {
  auto axes = integers_of(graph, node, "axes", 1);
  const bool more = node.operation == "Unsqueeze";
  if (axes) {
    const std::size_t rank = dims.size() + (more ? axes->size() : 0);
    for (std::int64_t& axis : *axes) axis = positive_axis(graph, node, axis, rank);
    std::sort(axes->begin(), axes->end());
    if (std::adjacent_find(axes->begin(), axes->end()) != axes->end()) graph.refuse(node, "names an axis twice");
  }
  if (more) {
    if (!axes) graph.refuse(node, "names no axes");
    for (const std::int64_t axis : *axes) dims.insert(dims.begin() + axis, 1);
    return dims;
  }
  std::vector<std::int64_t> result;
  for (std::size_t d = 0; d < dims.size(); ++d) {
    const bool named = axes ? std::find(axes->begin(), axes->end(), std::int64_t(d)) != axes->end() : dims[d] == 1;
    if (!named) result.push_back(dims[d]);
    else if (dims[d] != 1) graph.refuse(node, "drops axis {}, which has size {}", d, dims[d]);
  }
  return result;
}

namespace {

bool one_scale(const OnnxTensor& tensor) { return !tensor.quantized || tensor.quantized->scale.size() == 1; }

/// A constant with other sizes: of scales along an axis, the axis that has them must stay.
OnnxTensor with_dims(const OnnxGraph& graph, const OnnxNode& node, OnnxTensor tensor, std::vector<std::int64_t> dims) {
  if (!one_scale(tensor)) {
    const auto before = [](const std::vector<std::int64_t>& d, std::size_t axis) {
      return std::accumulate(d.begin(), d.begin() + axis, std::int64_t{1}, std::multiplies<>());
    };
    const std::int64_t size = tensor.dims[tensor.quantized->axis];
    const std::int64_t outer = before(tensor.dims, tensor.quantized->axis);
    std::size_t axis = 0;
    while (axis < dims.size() && (dims[axis] != size || before(dims, axis) != outer)) ++axis;
    if (axis == dims.size()) graph.refuse(node, "mixes the channels of weights that have a scale each");
    tensor.quantized->axis = static_cast<int>(axis);
  }
  tensor.dims = std::move(dims);
  return tensor;
}

/// Scales and zero points for a constant.
ConstantScale scales_of(const OnnxGraph& graph, const OnnxNode& node, const OnnxTensor& tensor, std::int64_t axis) {
  const OnnxTensor& scale = needed_constant(graph, node, 1, "scale");
  const OnnxTensor* zero = constant_input(graph, node, 2);
  ConstantScale result;
  if (node.integer("block_size", 0) != 0) graph.refuse(node, "has a scale for each block, which cannot be imported");
  if (zero && !zero->scalar() && zero->size() != scale.size())
    graph.refuse(node, "has {} scales and {} zero points", scale.size(), zero->size());
  for (std::size_t i = 0; i < scale.values.size(); ++i) {
    result.scale.push_back(scale.real(i));
    result.zero_point.push_back(!zero ? 0 : zero->values[zero->scalar() ? 0 : i]);
  }
  if (result.scale.size() > 1) {
    // Quant names no axis: that of the scale's shape which is not 1.
    const auto ahead = std::int64_t(tensor.dims.size()) - std::int64_t(scale.dims.size());
    if (node.operation == "Quant" && ahead >= 0) {
      for (std::size_t d = 0; d < scale.dims.size(); ++d)
        if (scale.dims[d] > 1) axis = std::int64_t(d) + ahead;
    }
    result.axis = static_cast<int>(positive_axis(graph, node, axis, tensor.dims.size()));
    if (tensor.dims[result.axis] != std::int64_t(result.scale.size()))
      graph.refuse(node, "has {} scales, which are not one a channel; blocks of scales cannot be imported",
                   result.scale.size());
  }
  return result;
}

OnnxTensor quantized(const OnnxGraph& graph, const OnnxNode& node, const OnnxTensor& input, double lowest,
                     double highest) {
  OnnxTensor result = plain(input);
  result.quantized = scales_of(graph, node, result, node.integer("axis", 1));
  const auto codes = [&]<class T>(std::vector<T> values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::size_t s = result.slice(i);
      const double scaled =
          static_cast<float>(static_cast<float>(result.values[i]) / static_cast<float>(result.quantized->scale[s]));
      values[i] = static_cast<T>(std::clamp(std::nearbyint(scaled) + result.quantized->zero_point[s], lowest, highest));
    }
    return Elements(std::move(values));
  };
  const std::size_t size = result.values.size();
  if (lowest >= -128 && highest <= 127) result.values = codes(std::vector<std::int8_t>(size));
  else if (lowest >= 0 && highest <= 255) result.values = codes(std::vector<std::uint8_t>(size));
  else result.values = codes(std::vector<double>(size));
  return result;
}

struct Range {
  double lowest, highest;
};

Range quant_range(const OnnxGraph& graph, const OnnxNode& node, double bits) {
  if (bits != std::floor(bits) || bits < 2 || bits > 32)
    graph.refuse(node, "has {} bits; expected a whole number from 2 to 32", bits);
  const std::string mode = node.text("rounding_mode", "ROUND");
  if (mode != "ROUND" && mode != "HALF_EVEN")
    graph.refuse(node, "rounds by {}; expected ROUND, to the nearest, halves to even", mode);
  const double narrow = node.integer("narrow", 0) != 0;
  if (node.integer("signed", 1) == 0) return {0, std::ldexp(1.0, int(bits)) - 1 - narrow};
  return {-std::ldexp(1.0, int(bits) - 1) + narrow, std::ldexp(1.0, int(bits) - 1) - 1};
}

double quant_bits(const OnnxGraph& graph, const OnnxNode& node) {
  const OnnxTensor& bits = needed_constant(graph, node, 3, "bit width");
  if (!bits.scalar()) graph.refuse(node, "has a bit width for each channel; one is expected");
  return bits.real(0);
}

}  // namespace

const OnnxTensor* constant_input(const OnnxGraph& graph, const OnnxNode& node, std::size_t index) {
  if (!node.has_input(index)) return nullptr;
  const auto found = graph.constants.find(node.inputs[index]);
  return found == graph.constants.end() ? nullptr : &found->second;
}

const OnnxTensor& needed_constant(const OnnxGraph& graph, const OnnxNode& node, std::size_t index, const char* what) {
  const OnnxTensor* found = constant_input(graph, node, index);
  if (!found) graph.refuse(node, "its {} is not a constant of the file", what);
  if (found->type == Type::other) graph.refuse(node, "its {} has an element type that cannot be imported", what);
  if (found->values.empty()) graph.refuse(node, "its {} is empty", what);
  if (!found->values.finite()) graph.refuse(node, "its {} has an element that is no finite number", what);
  return *found;
}

ClipBounds clip_bounds(const OnnxGraph& graph, const OnnxNode& node) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  ClipBounds result{node.real("min", -infinity), node.real("max", infinity)};
  for (const std::size_t i : {1, 2}) {
    if (!node.has_input(i)) continue;
    const OnnxTensor* bound = constant_input(graph, node, i);
    if (!bound || !bound->scalar()) graph.refuse(node, "has a bound that is no constant number");
    (i == 1 ? result.lower : result.upper) = bound->real(0);
  }
  if (!(result.lower < result.upper)) graph.refuse(node, "has bounds {} and {}", result.lower, result.upper);
  if (result.lower < -1e30) result.lower = -infinity;
  if (result.upper > 1e30) result.upper = infinity;
  return result;
}

std::optional<std::vector<std::int64_t>> integers_of(const OnnxGraph& graph, const OnnxNode& node,
                                                     const std::string& attribute, std::size_t input) {
  std::vector<std::int64_t> result;
  if (node.has(attribute)) {
    result = node.integers(attribute, {});
  } else {
    if (!node.has_input(input)) return std::nullopt;
    for (const double x : needed_constant(graph, node, input, attribute.c_str()).values)
      result.push_back(static_cast<std::int64_t>(std::clamp(x, -9e15, 9e15)));
  }
  // Some mean "to the end" by the largest integer.
  for (std::int64_t& x : result) x = std::clamp<std::int64_t>(x, -most_elements, most_elements);
  return result;
}

OnnxTensor permuted(const OnnxTensor& tensor, const std::vector<std::int64_t>& order) {
  OnnxTensor result = tensor;
  const std::size_t rank = tensor.dims.size();
  std::vector<std::int64_t> stride(rank, 1);
  for (std::size_t d = rank; d-- > 1;) stride[d - 1] = stride[d] * tensor.dims[d];
  for (std::size_t d = 0; d < rank; ++d) result.dims[d] = tensor.dims[order[d]];
  result.values = tensor.values.reordered([&](std::size_t i) {
    std::size_t rest = i, from = 0;
    for (std::size_t d = rank; d-- > 0;) {
      from += rest % result.dims[d] * stride[order[d]];
      rest /= result.dims[d];
    }
    return from;
  });
  if (result.quantized)
    result.quantized->axis =
        static_cast<int>(std::find(order.begin(), order.end(), tensor.quantized->axis) - order.begin());
  return result;
}

std::vector<std::int64_t> reshaped(const OnnxGraph& graph, const OnnxNode& node, const std::vector<std::int64_t>& dims,
                                   const std::vector<double>& wanted) {
  std::vector<std::int64_t> result;
  std::int64_t known = 1, open = -1;
  for (std::size_t d = 0; d < wanted.size(); ++d) {
    if (!(wanted[d] >= -1 && wanted[d] <= double(most_elements)) || (wanted[d] == -1 && open >= 0))
      graph.refuse(node, "makes the shape [{}]", fmt::join(wanted, ", "));
    std::int64_t size = static_cast<std::int64_t>(wanted[d]);
    if (size == 0 && node.integer("allowzero", 0) == 0 && d < dims.size()) size = dims[d];
    if (size < 0) open = std::int64_t(d);
    else known *= size;
    if (known > most_elements) graph.refuse(node, "makes the shape [{}]", fmt::join(wanted, ", "));
    result.push_back(size);
  }
  const std::int64_t size = product(dims);
  if (open >= 0) result[open] = known > 0 ? size / known : 0;
  if (product(result) != size)
    graph.refuse(node, "makes [{}] of [{}], which has another number of elements (a batch is one image here)",
                 fmt::join(result, ", "), fmt::join(dims, ", "));
  return result;
}

OnnxScale linear_scale(const OnnxGraph& graph, const OnnxNode& node, std::size_t first) {
  const OnnxTensor& scale = needed_constant(graph, node, first, "scale");
  const OnnxTensor* zero = constant_input(graph, node, first + 1);
  if (!scale.scalar() || (zero && !zero->scalar()))
    graph.refuse(node, "gives an activation a scale for each channel; quantize activations per tensor");
  OnnxScale result{scale.real(0), 0, 0, 255};
  // Without a zero point QuantizeLinear names the type by a number; 0 says nothing.
  const std::int64_t named = node.operation == "QuantizeLinear" ? node.integer("output_dtype", 0) : 0;
  const Type type = zero ? zero->type : type_of_number(named ? named : 2);
  if (type != Type::uint8 && type != Type::int8)
    graph.refuse(node, "quantizes an activation to something else than 8 bits; use int8 or uint8");
  if (type == Type::int8) result.lowest = -128, result.highest = 127;
  if (zero) result.zero_point = static_cast<int>(zero->values[0]);
  if (!(result.scale > 0) || !std::isfinite(result.scale)) graph.refuse(node, "has a scale that is not positive");
  return result;
}

OnnxScale quant_scale(const OnnxGraph& graph, const OnnxNode& node) {
  const OnnxTensor& scale = needed_constant(graph, node, 1, "scale");
  const OnnxTensor& zero = needed_constant(graph, node, 2, "zero point");
  const double bits = quant_bits(graph, node);
  if (!scale.scalar() || !zero.scalar())
    graph.refuse(node, "gives an activation a scale for each channel; quantize activations per tensor");
  if (bits > 8) graph.refuse(node, "quantizes an activation to {} bits; at most 8 can be imported", bits);
  const Range range = quant_range(graph, node, bits);
  if (zero.real(0) != std::floor(zero.real(0)) || zero.real(0) < range.lowest || zero.real(0) > range.highest)
    graph.refuse(node, "has zero point {}; expected a whole number from {} to {}", zero.real(0), range.lowest,
                 range.highest);
  if (!(float(scale.real(0)) > 0)) graph.refuse(node, "has a scale that is not positive");
  return {scale.real(0), int(zero.real(0)), int(range.lowest), int(range.highest)};
}

bool is_evaluated(const std::string& operation) {
  static const std::set<std::string> all = {
      "Constant",       "Identity",         "Dropout", "Cast",      "Gather", "Unsqueeze", "Squeeze", "Concat",
      "Slice",          "Reshape",          "Flatten", "Transpose", "Add",    "Sub",       "Mul",     "Div",
      "QuantizeLinear", "DequantizeLinear", "Quant",   "Clip"};
  return all.contains(operation);
}

std::optional<OnnxTensor> evaluate(const OnnxGraph& graph, const OnnxNode& node) {
  const std::string& operation = node.operation;
  if (operation == "Constant") {
    for (const char* name : {"value_float", "value_int"})
      if (node.has(name))
        return OnnxTensor{{},
                          name == std::string("value_int") ? Type::int64 : Type::real,
                          {name == std::string("value_int") ? double(node.integer(name, 0)) : node.real(name, 0)},
                          std::nullopt};
    if (node.has("value_ints")) {
      const auto values = node.integers("value_ints", {});
      return integers({std::int64_t(values.size())}, {values.begin(), values.end()});
    }
    const auto found = node.attributes.find("value");
    if (found == node.attributes.end() || !found->second.tensor) graph.refuse(node, "is a constant without a tensor");
    return found->second.tensor;
  }
  for (std::size_t i = 0; i < node.inputs.size(); ++i)
    if (node.has_input(i) && !constant_input(graph, node, i)) return std::nullopt;
  if (node.inputs.empty()) return std::nullopt;
  if (!node.has_input(0)) graph.refuse(node, "has no input 0");
  const OnnxTensor& x = *constant_input(graph, node, 0);
  if (operation == "Identity" || operation == "Dropout") return x;
  if (operation == "Cast") {
    OnnxTensor result = plain(x);
    result.type = type_of_number(node.integer("to", 1));
    if (result.type != Type::real)
      for (double& value : result.values.changed()) value = std::trunc(value);
    return result;
  }
  if (operation == "Gather") return gather(graph, node, x, needed_constant(graph, node, 1, "index"));
  if (operation == "Unsqueeze" || operation == "Squeeze") {
    return with_dims(graph, node, x, squeezed(graph, node, x.dims));
  }
  if (operation == "Concat") return concatenated(graph, node);
  if (operation == "Slice") return slice(graph, node, x);
  if (operation == "Reshape")
    return with_dims(graph, node, x,
                     reshaped(graph, node, x.dims, needed_constant(graph, node, 1, "shape").values.reals()));
  if (operation == "Flatten") {
    const std::int64_t last = std::int64_t(x.dims.size());
    const std::int64_t given = node.integer("axis", 1);
    const std::int64_t axis = given == last ? last : positive_axis(graph, node, given, x.dims.size());
    const std::int64_t outer = product({x.dims.begin(), x.dims.begin() + axis});
    return with_dims(graph, node, x, {outer, outer ? x.size() / outer : 0});
  }
  if (operation == "Transpose") {
    std::vector<std::int64_t> order(x.dims.size());
    std::iota(order.rbegin(), order.rend(), 0);
    const auto given = node.integers("perm", order);
    if (!std::is_permutation(given.begin(), given.end(), order.begin(), order.end()))
      graph.refuse(node, "puts {} axes in the order [{}]", order.size(), fmt::join(given, ", "));
    return permuted(x, given);
  }
  if (operation == "Add" || operation == "Sub" || operation == "Mul" || operation == "Div")
    return arithmetic(graph, node, x, needed_constant(graph, node, 1, "input"));
  if (operation == "Clip") {
    const ClipBounds bounds = clip_bounds(graph, node);
    OnnxTensor result = plain(x);
    for (double& value : result.values.changed()) value = std::clamp(value, bounds.lower, bounds.upper);
    return result;
  }
  if (operation == "QuantizeLinear") {
    const OnnxTensor* zero = constant_input(graph, node, 2);
    const std::int64_t named = node.integer("output_dtype", 0);
    const Type type = zero ? zero->type : type_of_number(named ? named : 2);
    const bool is_signed = type != Type::uint8;
    if (type == Type::other || type == Type::real || type == Type::int64)
      graph.refuse(node, "quantizes to an element type that cannot be imported; use int8 or uint8");
    const double half = type == Type::int32 ? 2147483648.0 : 128;
    OnnxTensor result = quantized(graph, node, x, is_signed ? -half : 0, is_signed ? half - 1 : 255);
    result.type = type;
    result.quantized.reset();
    return result;
  }
  if (operation == "DequantizeLinear") {
    OnnxTensor result = x;
    if (x.type == Type::other)
      graph.refuse(node, "reads integers of a type that cannot be imported; use int8 or uint8");
    result.quantized = scales_of(graph, node, x, node.integer("axis", 1));
    result.type = Type::real;
    return result;
  }
  if (operation == "Quant") {
    const Range range = quant_range(graph, node, quant_bits(graph, node));
    return quantized(graph, node, x, range.lowest, range.highest);
  }
  return std::nullopt;
}

}  // namespace triseg
