// An ONNX file as plain data: nodes in order, their attributes, and the tensors that are constant.
#pragma once

#include "core/error.hpp"
#include "importer/elements.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace triseg {

/// How the integers of a constant stand for real numbers: scale * (q - zero_point), one pair, or one a slice of `axis`.
struct ConstantScale {
  std::vector<double> scale, zero_point;
  int axis = 0;
};

/// A tensor whose elements the file holds, or that follows from such.
struct OnnxTensor {
  enum class Type { real, int8, uint8, int32, int64, other };

  std::vector<std::int64_t> dims;  ///< none: a scalar
  Type type = Type::real;
  Elements values;                         // (product of dims)
  std::optional<ConstantScale> quantized;  ///< where it has one, `values` are integers that stand for real numbers

  std::int64_t size() const { return static_cast<std::int64_t>(values.size()); }
  bool scalar() const { return values.size() == 1; }
  /// The slice of `quantized` that element `index` belongs to.
  std::size_t slice(std::size_t index) const;
  /// The real number of an element.
  double real(std::size_t index) const;
};

struct OnnxAttribute {
  std::int64_t integer = 0;
  double real = 0;
  std::string text;
  std::vector<std::int64_t> integers;
  std::vector<double> reals;
  std::optional<OnnxTensor> tensor;
};

struct OnnxNode {
  std::string name;                          ///< the node's, or that of its first output where it has none
  std::string operation;                     ///< "Conv"
  std::string domain;                        ///< "": that of ONNX; "ai.onnx" is read as ""
  std::vector<std::string> inputs, outputs;  ///< inputs that are left out are ""
  std::map<std::string, OnnxAttribute> attributes;

  bool has_input(std::size_t index) const { return index < inputs.size() && !inputs[index].empty(); }
  bool has(const std::string& attribute) const { return attributes.contains(attribute); }
  std::int64_t integer(const std::string& attribute, std::int64_t otherwise) const;
  double real(const std::string& attribute, double otherwise) const;
  std::string text(const std::string& attribute, const std::string& otherwise) const;
  std::vector<std::int64_t> integers(const std::string& attribute, std::vector<std::int64_t> otherwise) const;
};

/// "/layer1/conv1/Conv (Conv)", "/layer1/add (com.microsoft.QLinearAdd)", for notes and messages.
std::string label(const OnnxNode& node);

/// An input of the graph that is no initializer.
struct OnnxInput {
  std::string name;
  OnnxTensor::Type type = OnnxTensor::Type::real;
  std::vector<std::int64_t> dims;  ///< -1: not known
};

struct OnnxGraph {
  std::string file;     ///< as given, for messages
  std::string creator;  ///< producer and version, as the file names them; may be empty
  std::int64_t opset = 0;
  std::vector<OnnxNode> nodes;  ///< each behind those that make its inputs
  std::map<std::string, OnnxTensor> constants;
  std::vector<OnnxInput> inputs;
  std::string output;
  std::map<std::string, std::vector<int>> readers;  ///< of each tensor: nodes, and their number for the output

  /// Throws Error "FILE: node NAME (OPERATOR): what".
  template <class... Args>
  [[noreturn]] void refuse(const OnnxNode& node, fmt::format_string<Args...> what, Args&&... args) const {
    fail("{}: node {}: {}", file, label(node), fmt::format(what, std::forward<Args>(args)...));
  }
};

/// Reads what a tensor depends on; `output` is its name, or empty for the only output of the graph. Throws Error if the
/// file cannot be read, is no ONNX model, keeps tensors in other files, has several outputs, subgraphs, functions or
/// tensors of the same name, or has nodes that wait for one another.
OnnxGraph read_onnx(const std::string& path, const std::string& output = "");

}  // namespace triseg
