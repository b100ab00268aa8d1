#include "importer/onnx_graph.hpp"

#include <onnx/onnx_pb.h>

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <limits>

namespace triseg {

std::size_t OnnxTensor::slice(std::size_t index) const {
  if (quantized->scale.size() == 1) return 0;
  std::size_t inner = 1;
  for (std::size_t d = quantized->axis + 1; d < dims.size(); ++d) inner *= dims[d];
  return index / inner % dims[quantized->axis];
}

double OnnxTensor::real(std::size_t index) const {
  if (!quantized) return values[index];
  const std::size_t s = slice(index);
  return quantized->scale[s] * (values[index] - quantized->zero_point[s]);
}

std::int64_t OnnxNode::integer(const std::string& attribute, std::int64_t otherwise) const {
  const auto found = attributes.find(attribute);
  return found == attributes.end() ? otherwise : found->second.integer;
}

double OnnxNode::real(const std::string& attribute, double otherwise) const {
  const auto found = attributes.find(attribute);
  return found == attributes.end() ? otherwise : found->second.real;
}

std::string OnnxNode::text(const std::string& attribute, const std::string& otherwise) const {
  const auto found = attributes.find(attribute);
  return found == attributes.end() ? otherwise : found->second.text;
}

std::vector<std::int64_t> OnnxNode::integers(const std::string& attribute, std::vector<std::int64_t> otherwise) const {
  const auto found = attributes.find(attribute);
  return found == attributes.end() ? otherwise : found->second.integers;
}

namespace {

/// A name of another file's, which may be long.
std::string shown(const std::string& name) {
  constexpr std::size_t longest = 200;
  return name.size() <= longest ? name : name.substr(0, longest) + "...";
}

}  // namespace

std::string label(const OnnxNode& node) {
  return fmt::format("{} ({}{}{})", shown(node.name), shown(node.domain), node.domain.empty() ? "" : ".",
                     shown(node.operation));
}

namespace {

OnnxTensor::Type type_of(int type) {
  switch (type) {
    case onnx::TensorProto::FLOAT:
    case onnx::TensorProto::DOUBLE: return OnnxTensor::Type::real;
    case onnx::TensorProto::INT8: return OnnxTensor::Type::int8;
    case onnx::TensorProto::UINT8: return OnnxTensor::Type::uint8;
    case onnx::TensorProto::INT32: return OnnxTensor::Type::int32;
    case onnx::TensorProto::INT64: return OnnxTensor::Type::int64;
    default: return OnnxTensor::Type::other;
  }
}

/// Bounds of what is read: far above those of networks, low enough for the time that names take.
constexpr int most_nodes = 50'000;
constexpr std::int64_t most_elements = std::int64_t{1} << 31;

class Reader {
 public:
  Reader(const std::string& path, const std::string& output) {
    graph_.file = path;
    graph_.output = output;
  }

  OnnxGraph read() {
    onnx::ModelProto model;
    parse(model);
    if (!model.has_graph() || model.graph().node_size() == 0)
      fail("{}: is no ONNX model: it has no graph of nodes", graph_.file);
    if (model.graph().node_size() > most_nodes)
      fail("{}: has {} nodes; at most {} can be imported", graph_.file, model.graph().node_size(), most_nodes);
    if (model.functions_size() > 0)
      fail("{}: has functions of its own; export it without, or inline them with onnx.inliner", graph_.file);
    graph_.creator = model.producer_name();
    if (!model.producer_version().empty()) graph_.creator += " " + model.producer_version();
    for (const auto& set : model.opset_import())
      if (set.domain().empty() || set.domain() == "ai.onnx") graph_.opset = set.version();
    read_tensors(*model.mutable_graph());
    for (const auto& node : model.graph().node()) graph_.nodes.push_back(read_node(node));
    choose_output(model.graph());
    sort();
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i)
      for (const std::string& input : graph_.nodes[i].inputs) graph_.readers[input].push_back(int(i));
    graph_.readers[graph_.output].push_back(int(graph_.nodes.size()));
    std::erase_if(graph_.inputs, [&](const OnnxInput& input) { return !graph_.readers.contains(input.name); });
    return std::move(graph_);
  }

 private:
  void parse(onnx::ModelProto& model) const {
    std::ifstream file(graph_.file, std::ios::binary);
    if (!file) fail("{}: cannot be read: {}", graph_.file, std::strerror(errno));
    google::protobuf::io::IstreamInputStream stream(&file);
    google::protobuf::io::CodedInputStream coded(&stream);
    coded.SetTotalBytesLimit(std::numeric_limits<int>::max());
    const auto silent = google::protobuf::SetLogHandler(nullptr);
    const bool parsed = model.ParseFromCodedStream(&coded) && coded.ConsumedEntireMessage();
    google::protobuf::SetLogHandler(silent);
    if (!parsed) fail("{}: is no ONNX model, or is cut off", graph_.file);
  }

  /// Takes the bytes of tensors away from the model, as networks may be large.
  void read_tensors(onnx::GraphProto& graph) {
    if (graph.sparse_initializer_size() > 0) fail("{}: has sparse initializers; store it with dense ones", graph_.file);
    for (auto& tensor : *graph.mutable_initializer()) {
      if (!graph_.constants.emplace(tensor.name(), read_tensor(tensor, tensor.name())).second)
        fail("{}: two initializers are called '{}'", graph_.file, tensor.name());
      delete tensor.release_raw_data();
    }
    for (const auto& input : graph.input()) {
      if (graph_.constants.contains(input.name())) continue;
      OnnxInput found{input.name(), type_of(input.type().tensor_type().elem_type()), {}};
      for (const auto& d : input.type().tensor_type().shape().dim())
        found.dims.push_back(d.has_dim_value() && d.dim_value() > 0 ? d.dim_value() : -1);
      graph_.inputs.push_back(std::move(found));
    }
  }

  void choose_output(const onnx::GraphProto& graph) {
    std::vector<std::string> outputs;
    for (const auto& output : graph.output()) outputs.push_back(output.name());
    if (outputs.empty()) fail("{}: has no output", graph_.file);
    if (!graph_.output.empty()) {
      for (const OnnxNode& node : graph_.nodes)
        if (std::find(node.outputs.begin(), node.outputs.end(), graph_.output) != node.outputs.end()) return;
      fail("--output {}: no node of {} makes it; the graph's outputs are {}", graph_.output, graph_.file,
           fmt::join(outputs, ", "));
    }
    if (outputs.size() > 1)
      fail("{}: has {} outputs: {}; choose the one with the logits by --output NAME", graph_.file, outputs.size(),
           fmt::join(outputs, ", "));
    graph_.output = outputs.front();
  }

  OnnxTensor read_tensor(const onnx::TensorProto& tensor, const std::string& name) const {
    if (tensor.data_location() == onnx::TensorProto::EXTERNAL)
      fail("{}: tensor {} lies in another file; save the model with its tensors inside (onnx.save_model)", graph_.file,
           name);
    OnnxTensor result;
    std::int64_t size = 1;
    for (const std::int64_t d : tensor.dims()) {
      result.dims.push_back(d);
      if (d < 0) fail("{}: tensor {} has a size of {}", graph_.file, name, d);
      if (d > 0 && size > most_elements / d) fail("{}: tensor {} is too large", graph_.file, name);
      size *= d;
    }
    if (tensor.has_segment()) fail("{}: tensor {} is stored in parts; save the model anew", graph_.file, name);
    result.type = type_of(tensor.data_type());
    if (tensor.has_raw_data()) result.values = read_raw(tensor);
    else if (tensor.float_data_size() > 0)
      result.values = std::vector<float>(tensor.float_data().begin(), tensor.float_data().end());
    else {
      for (const double x : tensor.double_data()) result.values.push_back(x);
      for (const std::int32_t x : tensor.int32_data()) result.values.push_back(x);
      for (const std::int64_t x : tensor.int64_data()) result.values.push_back(static_cast<double>(x));
    }
    if (result.type == OnnxTensor::Type::other) result.values = {};
    else if (result.size() != size)
      fail("{}: tensor {}: expected {} elements, found {}", graph_.file, name, size, result.size());
    const double least = result.type == OnnxTensor::Type::int8 ? -128 : 0, most = least + 255;
    if (!result.values.bytes() && (result.type == OnnxTensor::Type::int8 || result.type == OnnxTensor::Type::uint8))
      for (const double x : result.values)
        if (x < least || x > most) fail("{}: tensor {} has element {}, not of 8 bits", graph_.file, name, x);
    return result;
  }

  /// The numbers of type T that the bytes are, as type Kept.
  template <class T, class Kept = T>
  static Elements numbers_of(const std::string& bytes) {
    if (bytes.size() % sizeof(T)) return {};  // none is as wrong as a part of one
    std::vector<Kept> values(bytes.size() / sizeof(T));
    for (std::size_t i = 0; i < values.size(); ++i) {
      T x;
      std::memcpy(&x, bytes.data() + i * sizeof(T), sizeof(T));
      values[i] = static_cast<Kept>(x);
    }
    return values;
  }

  static Elements read_raw(const onnx::TensorProto& tensor) {
    const std::string& bytes = tensor.raw_data();
    switch (tensor.data_type()) {
      case onnx::TensorProto::FLOAT: return numbers_of<float>(bytes);
      case onnx::TensorProto::DOUBLE: return numbers_of<double>(bytes);
      case onnx::TensorProto::INT8: return numbers_of<std::int8_t>(bytes);
      case onnx::TensorProto::UINT8: return numbers_of<std::uint8_t>(bytes);
      case onnx::TensorProto::INT32: return numbers_of<std::int32_t, double>(bytes);
      case onnx::TensorProto::INT64: return numbers_of<std::int64_t, double>(bytes);
      default: return {};
    }
  }

  OnnxNode read_node(const onnx::NodeProto& node) const {
    OnnxNode result{node.name(), node.op_type(), node.domain(), {}, {}, {}};
    if (result.domain == "ai.onnx") result.domain.clear();
    result.inputs.assign(node.input().begin(), node.input().end());
    result.outputs.assign(node.output().begin(), node.output().end());
    if (result.outputs.empty() || result.outputs.front().empty()) graph_.refuse(result, "has no output");
    if (result.name.empty()) result.name = result.outputs.front();
    for (const auto& a : node.attribute()) {
      OnnxAttribute& attribute = result.attributes[a.name()];
      if (a.has_g() || a.graphs_size() > 0) graph_.refuse(result, "has a subgraph, which cannot be imported");
      attribute.integer = a.i();
      attribute.real = a.f();
      attribute.text = a.s();
      attribute.integers.assign(a.ints().begin(), a.ints().end());
      attribute.reals.assign(a.floats().begin(), a.floats().end());
      if (a.has_t()) attribute.tensor = read_tensor(a.t(), result.name);
    }
    return result;
  }

  /// Keeps the nodes that the output depends on, each behind those that make its inputs: ONNX asks for this order, but
  /// not all writers keep to it.
  void sort() {
    std::map<std::string, std::size_t> makers;
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i)
      for (const std::string& output : graph_.nodes[i].outputs)
        if (!output.empty() && (graph_.constants.contains(output) || !makers.emplace(output, i).second))
          graph_.refuse(graph_.nodes[i], "makes '{}', which is there already", output);
    std::set<std::string> given;
    for (const OnnxInput& input : graph_.inputs)
      if (!given.insert(input.name).second || makers.contains(input.name))
        fail("{}: two tensors are called '{}'", graph_.file, input.name);

    std::vector<std::vector<std::size_t>> readers(graph_.nodes.size());
    std::vector<int> missing(graph_.nodes.size(),
                             -1);  // inputs that are not made yet; -1: the output needs no such node
    std::vector<std::size_t> found;
    const auto find = [&](const std::string& tensor) {
      const auto maker = makers.find(tensor);
      if (maker == makers.end() || missing[maker->second] >= 0) return;
      missing[maker->second] = 0;
      found.push_back(maker->second);
    };
    find(graph_.output);
    if (found.empty()) fail("{}: no node makes its output '{}'", graph_.file, graph_.output);
    for (std::size_t i = 0; i < found.size(); ++i) {
      const std::size_t at = found[i];
      for (const std::string& input : graph_.nodes[at].inputs) {
        if (input.empty() || graph_.constants.contains(input) || given.contains(input)) continue;
        if (!makers.contains(input)) graph_.refuse(graph_.nodes[at], "nothing makes its input '{}'", input);
        find(input);
        readers[makers.at(input)].push_back(at);
        ++missing[at];
      }
    }
    std::set<std::size_t> ready;  // the first in the file comes first
    for (const std::size_t at : found)
      if (missing[at] == 0) ready.insert(at);
    std::vector<std::size_t> order;
    while (!ready.empty()) {
      order.push_back(ready.extract(ready.begin()).value());
      for (const std::size_t reader : readers[order.back()])
        if (--missing[reader] == 0) ready.insert(reader);
    }
    for (const std::size_t at : found)
      if (missing[at] > 0) graph_.refuse(graph_.nodes[at], "its inputs depend on its own output");
    std::vector<OnnxNode> sorted;
    for (const std::size_t at : order) sorted.push_back(std::move(graph_.nodes[at]));
    graph_.nodes = std::move(sorted);
  }

  OnnxGraph graph_;
};

}  // namespace

OnnxGraph read_onnx(const std::string& path, const std::string& output) { return Reader(path, output).read(); }

}  // namespace triseg
