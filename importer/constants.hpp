// Nodes all of whose inputs are constants.
#pragma once

#include "importer/onnx_graph.hpp"

#include <optional>

namespace triseg {

/// The integers between which a quantized tensor's lie, and what they stand for.
struct OnnxScale {
  double scale = 0;
  int zero_point = 0;
  int lowest = 0, highest = 255;

  bool operator==(const OnnxScale&) const = default;
  /// True if integers stand for the same numbers.
  bool same_numbers(const OnnxScale& other) const { return scale == other.scale && zero_point == other.zero_point; }
};

/// The constant that a node makes of constants, or nothing if this operator is none that is worked out in advance.
/// Handles Constant, Identity, Dropout, Cast, Gather, Unsqueeze, Squeeze, Concat, Slice, Reshape, Flatten,
/// Transpose, Add, Sub, Mul, Div, Clip, QuantizeLinear, DequantizeLinear and Quant. A constant that DequantizeLinear or
/// Quant makes keeps its integers, with their scale. Throws Error.
std::optional<OnnxTensor> evaluate(const OnnxGraph& graph, const OnnxNode& node);

/// True for the operators that evaluate() handles.
bool is_evaluated(const std::string& operation);

/// The scale that QuantizeLinear, DequantizeLinear (inputs `first` and `first` + 1) or an operator in integer form
/// gives an activation: one scale, one zero point, 8 bits. Throws Error.
OnnxScale linear_scale(const OnnxGraph& graph, const OnnxNode& node, std::size_t first);
/// The scale that Quant of QONNX gives an activation: at most 8 bits, a whole zero point, rounding to nearest even.
OnnxScale quant_scale(const OnnxGraph& graph, const OnnxNode& node);

struct ClipBounds {
  double lower, upper;  ///< infinite where there is none
};

/// The bounds of Clip. Throws Error.
ClipBounds clip_bounds(const OnnxGraph& graph, const OnnxNode& node);

/// The constant that input `index` of the node is, or null.
const OnnxTensor* constant_input(const OnnxGraph& graph, const OnnxNode& node, std::size_t index);
/// The same; throws Error where it is none. `what` names it.
const OnnxTensor& needed_constant(const OnnxGraph& graph, const OnnxNode& node, std::size_t index, const char* what);

/// Axes or sizes that are an attribute in old operator sets and an input in new ones; nothing if neither is there.
std::optional<std::vector<std::int64_t>> integers_of(const OnnxGraph& graph, const OnnxNode& node,
                                                     const std::string& attribute, std::size_t input);

/// The sizes that Squeeze or Unsqueeze leaves of `dims`. Throws Error for axes that are not there.
std::vector<std::int64_t> squeezed(const OnnxGraph& graph, const OnnxNode& node, std::vector<std::int64_t> dims);

/// The tensor with its axes in another order, which names each once.
OnnxTensor permuted(const OnnxTensor& tensor, const std::vector<std::int64_t>& order);

/// The sizes that Reshape gives a tensor of `dims`. Throws Error where they do not fit.
std::vector<std::int64_t> reshaped(const OnnxGraph& graph, const OnnxNode& node, const std::vector<std::int64_t>& dims,
                                   const std::vector<double>& wanted);

}  // namespace triseg
