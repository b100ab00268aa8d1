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

class Reader {
 public:
  explicit Reader(const std::string& path) { graph_.file = path; }

  OnnxGraph read() {
    onnx::ModelProto model;
    parse(model);
    if (!model.has_graph() || model.graph().node_size() == 0)
      fail("{}: is no ONNX model: it has no graph of nodes", graph_.file);
    if (model.functions_size() > 0)
      fail("{}: has functions of its own; export it without, or inline them with onnx.inliner", graph_.file);
    graph_.creator = model.producer_name();
    if (!model.producer_version().empty()) graph_.creator += " " + model.producer_version();
    for (const auto& set : model.opset_import())
      if (set.domain().empty() || set.domain() == "ai.onnx") graph_.opset = set.version();
    read_tensors(model.graph());
    for (const auto& node : model.graph().node()) graph_.nodes.push_back(read_node(node));
    sort();
    for (const OnnxNode& node : graph_.nodes)
      for (const std::string& input : node.inputs) ++graph_.uses[input];
    for (const std::string& output : graph_.outputs) ++graph_.uses[output];
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

  void read_tensors(const onnx::GraphProto& graph) {
    if (graph.sparse_initializer_size() > 0) fail("{}: has sparse initializers; store it with dense ones", graph_.file);
    for (const auto& tensor : graph.initializer()) graph_.constants[tensor.name()] = read_tensor(tensor, tensor.name());
    for (const auto& input : graph.input()) {
      if (graph_.constants.contains(input.name())) continue;
      OnnxInput found{input.name(), type_of(input.type().tensor_type().elem_type()), {}};
      for (const auto& d : input.type().tensor_type().shape().dim())
        found.dims.push_back(d.has_dim_value() && d.dim_value() > 0 ? d.dim_value() : -1);
      graph_.inputs.push_back(std::move(found));
    }
    for (const auto& output : graph.output()) graph_.outputs.push_back(output.name());
  }

  OnnxTensor read_tensor(const onnx::TensorProto& tensor, const std::string& name) const {
    if (tensor.data_location() == onnx::TensorProto::EXTERNAL)
      fail("{}: tensor {} lies in another file; save the model with its tensors inside (onnx.save_model)", graph_.file,
           name);
    OnnxTensor result;
    std::int64_t size = 1;
    for (const std::int64_t d : tensor.dims()) {
      result.dims.push_back(d);
      if (d < 0 || (d > 0 && size > (std::int64_t{1} << 31) / d)) fail("{}: tensor {} is too large", graph_.file, name);
      size *= d;
    }
    result.type = type_of(tensor.data_type());
    if (tensor.has_raw_data()) read_raw(tensor, result.values);
    else {
      for (const float x : tensor.float_data()) result.values.push_back(x);
      for (const double x : tensor.double_data()) result.values.push_back(x);
      for (const std::int32_t x : tensor.int32_data()) result.values.push_back(x);
      for (const std::int64_t x : tensor.int64_data()) result.values.push_back(static_cast<double>(x));
    }
    if (result.type == OnnxTensor::Type::other) result.values.clear();
    else if (result.size() != size)
      fail("{}: tensor {}: expected {} elements, found {}", graph_.file, name, size, result.size());
    return result;
  }

  template <class T>
  static void append(const std::string& bytes, std::vector<double>& values) {
    values.resize(bytes.size() / sizeof(T));
    for (std::size_t i = 0; i < values.size(); ++i) {
      T x;
      std::memcpy(&x, bytes.data() + i * sizeof(T), sizeof(T));
      values[i] = static_cast<double>(x);
    }
  }

  static void read_raw(const onnx::TensorProto& tensor, std::vector<double>& values) {
    const std::string& bytes = tensor.raw_data();
    switch (tensor.data_type()) {
      case onnx::TensorProto::FLOAT: append<float>(bytes, values); break;
      case onnx::TensorProto::DOUBLE: append<double>(bytes, values); break;
      case onnx::TensorProto::INT8: append<std::int8_t>(bytes, values); break;
      case onnx::TensorProto::UINT8: append<std::uint8_t>(bytes, values); break;
      case onnx::TensorProto::INT32: append<std::int32_t>(bytes, values); break;
      case onnx::TensorProto::INT64: append<std::int64_t>(bytes, values); break;
      default: break;
    }
  }

  OnnxNode read_node(const onnx::NodeProto& node) const {
    OnnxNode result{node.name(), node.op_type(), node.domain(), {}, {}, {}};
    if (result.domain == "ai.onnx") result.domain.clear();
    result.inputs.assign(node.input().begin(), node.input().end());
    result.outputs.assign(node.output().begin(), node.output().end());
    if (result.outputs.empty()) fail("{}: node {} ({}) has no output", graph_.file, result.name, result.operation);
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

  /// ONNX asks for this order; not all writers keep to it.
  void sort() {
    std::set<std::string> made{""};
    for (const auto& [name, tensor] : graph_.constants) made.insert(name);
    for (const OnnxInput& input : graph_.inputs) made.insert(input.name);
    std::vector<OnnxNode> sorted, waiting = std::move(graph_.nodes);
    while (!waiting.empty()) {
      std::vector<OnnxNode> still;
      for (OnnxNode& node : waiting) {
        const bool ready = std::all_of(node.inputs.begin(), node.inputs.end(),
                                       [&](const std::string& input) { return made.contains(input); });
        if (!ready) {
          still.push_back(std::move(node));
          continue;
        }
        made.insert(node.outputs.begin(), node.outputs.end());
        sorted.push_back(std::move(node));
      }
      if (still.size() == waiting.size()) {
        graph_.nodes = std::move(sorted);
        for (const std::string& input : still.front().inputs)
          if (!made.contains(input)) graph_.refuse(still.front(), "nothing makes its input '{}'", input);
      }
      waiting = std::move(still);
    }
    graph_.nodes = std::move(sorted);
  }

  OnnxGraph graph_;
};

}  // namespace

OnnxGraph read_onnx(const std::string& path) { return Reader(path).read(); }

}  // namespace triseg
