#include "importer/pass.hpp"

#include <algorithm>
#include <cmath>

namespace triseg {

const std::map<std::string, Pass::Handler>& Pass::handlers() {
  static const std::map<std::string, Handler> all = {
      {"Conv", &Pass::conv},
      {"Gemm", &Pass::gemm},
      {"MatMul", &Pass::matmul},
      {"MaxPool", &Pass::max_pool},
      {"GlobalMaxPool", &Pass::global_max_pool},
      {"AveragePool", &Pass::average_pool},
      {"GlobalAveragePool", &Pass::global_average_pool},
      {"ReduceMean", &Pass::reduce_mean},
      {"Relu", &Pass::relu},
      {"Clip", &Pass::clip},
      {"BatchNormalization", &Pass::batch_normalization},
      {"Sigmoid", &Pass::function},
      {"Tanh", &Pass::function},
      {"HardSigmoid", &Pass::function},
      {"HardSwish", &Pass::function},
      {"LeakyRelu", &Pass::function},
      {"Elu", &Pass::function},
      {"Softplus", &Pass::function},
      {"PRelu", &Pass::function},
      {"Celu", &Pass::function},
      {"Selu", &Pass::function},
      {"Mish", &Pass::function},
      {"Gelu", &Pass::function},
      {"QuickGelu", &Pass::function},
      {"Swish", &Pass::function},
      {"Softsign", &Pass::function},
      {"Erf", &Pass::function},
      {"Abs", &Pass::function},
      {"Neg", &Pass::function},
      {"Min", &Pass::min_max},
      {"Max", &Pass::min_max},
      {"Add", &Pass::add},
      {"Sub", &Pass::add},
      {"Mul", &Pass::multiply},
      {"Div", &Pass::multiply},
      {"Softmax", &Pass::softmax},
      {"LogSoftmax", &Pass::softmax},
      {"Identity", &Pass::identity},
      {"Dropout", &Pass::identity},
      {"Cast", &Pass::identity},
      {"Shape", &Pass::shape},
      {"Flatten", &Pass::flatten},
      {"Reshape", &Pass::reshape},
      {"Squeeze", &Pass::squeeze},
      {"Unsqueeze", &Pass::squeeze},
      {"Transpose", &Pass::transpose},
      {"Pad", &Pass::pad},
      {"Slice", &Pass::slice},
      {"Split", &Pass::split},
      {"Gather", &Pass::gather},
      {"Concat", &Pass::concat},
      {"QuantizeLinear", &Pass::quantize_linear},
      {"DequantizeLinear", &Pass::dequantize_linear},
      {"Quant", &Pass::quant},
      {"MultiThreshold", &Pass::multi_threshold},
      {"QLinearConv", &Pass::qlinear_conv},
      {"QLinearMatMul", &Pass::qlinear_matmul},
      {"QGemm", &Pass::qgemm},
      {"QLinearAdd", &Pass::qlinear_binary},
      {"QLinearMul", &Pass::qlinear_binary},
      {"QLinearConcat", &Pass::qlinear_concat},
      {"QLinearGlobalAveragePool", &Pass::qlinear_pool},
      {"QLinearAveragePool", &Pass::qlinear_pool},
      {"QLinearReduceMean", &Pass::qlinear_pool},
      {"QLinearSigmoid", &Pass::qlinear_function},
      {"QLinearLeakyRelu", &Pass::qlinear_function},
      {"QLinearSoftmax", &Pass::qlinear_softmax},
  };
  return all;
}

namespace {

/// What to do about an operator that is not there.
std::string remedy(const std::string& operation) {
  if (operation == "DynamicQuantizeLinear" || operation == "MatMulInteger" || operation == "ConvInteger" ||
      operation == "DynamicQuantizeMatMul")
    return "scales that are found anew for each image cannot be imported; quantize the network statically "
           "(onnxruntime.quantization.quantize_static)";
  if (operation == "ConvTranspose" || operation == "Resize" || operation == "Upsample")
    return "networks that enlarge planes cannot be imported";
  if (operation == "LSTM" || operation == "GRU" || operation == "RNN" || operation == "Loop" || operation == "If" ||
      operation == "Scan")
    return "recurrent networks and control flow cannot be imported";
  return "this operator cannot be imported; docs/importing.md lists those that can";
}

bool known_domain(const std::string& domain) {
  return domain.empty() || domain == "com.microsoft" || domain == "onnx.brevitas" ||
         domain == "qonnx.custom_op.general" || domain == "finn.custom_op.general";
}

}  // namespace

void Pass::check_operators() const {
  for (const OnnxNode& node : graph_.nodes)
    if (!known_domain(node.domain) || !(handlers().contains(node.operation) || is_evaluated(node.operation)))
      graph_.refuse(node, "{}", remedy(node.operation));
  const bool quantized = std::any_of(graph_.nodes.begin(), graph_.nodes.end(), [](const OnnxNode& node) {
    return node.operation.starts_with("Q") || node.operation == "MultiThreshold";
  });
  if (!quantized)
    fail(
        "{}: is not quantized: it has no QuantizeLinear, Quant or operators on integers; quantize it before "
        "(onnxruntime.quantization.quantize_static)",
        graph_.file);
}

void Pass::run() {
  // Constants first: nodes look at those of the nodes behind them. Others follow from sizes that the pass finds.
  std::int64_t read = 0, made = 0;
  for (const auto& [name, constant] : graph_.constants) read += constant.size();
  const std::int64_t most = 20 * read + (1 << 20);  // elements that may be made of those of the file
  const auto evaluated = [&](const OnnxNode& node) {
    if (graph_.constants.contains(node.outputs.front())) return true;
    auto constant = evaluate(graph_, node);
    if (!constant) return false;
    made += constant->size();
    if (made > most) graph_.refuse(node, "computes with too many constants; fold them before the import");
    graph_.constants[node.outputs.front()] = std::move(*constant);
    return true;
  };
  for (const OnnxNode& node : graph_.nodes) evaluated(node);
  for (const OnnxNode& node : graph_.nodes) {
    if (evaluated(node)) continue;
    const auto found = handlers().find(node.operation);
    if (found == handlers().end())
      graph_.refuse(node, "depends on the image; this operator can be imported on constants alone");
    for (std::size_t i = 1; i < node.outputs.size(); ++i)
      if (node.operation != "Split" && !node.outputs[i].empty() && graph_.readers.contains(node.outputs[i]))
        graph_.refuse(node, "its output '{}' is used; only the first one of a node can be imported", node.outputs[i]);
    (this->*found->second)(node);
  }
}

bool Pass::is_activation(const OnnxNode& node, std::size_t index) const {
  return node.has_input(index) && tensors_.contains(node.inputs[index]);
}

Activation Pass::input(const OnnxNode& node, std::size_t index, Takes takes) {
  if (!node.has_input(index)) graph_.refuse(node, "has no input {}", index);
  const auto found = tensors_.find(node.inputs[index]);
  if (found == tensors_.end())
    graph_.refuse(node, "its input '{}' does not depend on the image; fold constants before the import",
                  node.inputs[index]);
  if (found->second.ended && node.operation != "Identity" && node.operation != "QuantizeLinear" &&
      node.operation != "DequantizeLinear" && node.operation != "Quant" && node.operation != "Reshape" &&
      node.operation != "Flatten" && node.operation != "Squeeze")
    graph_.refuse(node, "stands behind a Softmax, which can only be dropped at the end of a network");
  Activation x = found->second;
  if (!takes.pads) refuse_pads(node, x);
  if (takes.channels) return x;
  if (x.order == Order::grouped)
    graph_.refuse(node, "reads channels in groups, [{}]; only Transpose and Reshape can", fmt::join(x.dims, ", "));
  if (!x.channels.empty()) {
    x = builder_.select(node, std::move(x));
    found->second = x;
  }
  return x;
}

void Pass::refuse_pads(const OnnxNode& node, const Activation& x) const {
  if (x.pads.any())
    graph_.refuse(node,
                  "stands behind a Pad; zeros can be imported only around what a convolution or a pool reads, with "
                  "nothing between that makes another number of 0");
}

Activation Pass::quantized(const OnnxNode& node, Activation x, const OnnxScale& scale) {
  const auto readers = graph_.readers.find(node.inputs.front());
  const bool shared = readers != graph_.readers.end() && readers->second.size() > 1;
  if (!shared) return builder_.quantize(node, std::move(x), scale, sole(node));
  auto& made = quantized_[node.inputs.front()];
  for (const auto& [other, activation] : made)
    if (other == scale) return activation;
  Activation result = builder_.quantize(node, std::move(x), scale, false);
  made.emplace_back(scale, result);
  return result;
}

Activation Pass::value_input(const OnnxNode& node, std::size_t index, Takes takes) {
  const Activation x = as_value(node, input(node, index, takes));
  tensors_[node.inputs[index]] = x;  // other nodes that read it share what was made
  return x;
}

Activation Pass::as_value(const OnnxNode& node, Activation x) {
  if (x.kind == Activation::Kind::image) return unquantized_image(node, std::move(x));
  if (x.kind == Activation::Kind::draft) {
    if (const auto scale = builder_.natural_scale(x.draft)) {
      x = builder_.quantize(node, x, *scale, x.sole);
      x.codes = false;
      return x;
    }
    const bool normalized = x.draft.one_weight;
    graph_.refuse(
        node, "its input, made by {}, is not quantized; put QuantizeLinear and DequantizeLinear between{}",
        fmt::join(x.sources, ", "),
        normalized ? ", as ONNX Runtime does behind a BatchNormalization with quant_format=QuantFormat.QDQ" : "");
  }
  if (x.codes) graph_.refuse(node, "its input are integers; put DequantizeLinear between");
  if (x.tail.plain()) return x;
  // A ReLU alone takes codes to codes of the same scale.
  if (x.tail.reals.empty() && x.tail.lower == 0 && x.tail.upper == Tail().upper) {
    x = builder_.quantize(node, x, OnnxScale(builder_.scale_of(x.value)), x.sole);
    x.codes = false;
    return x;
  }
  // A multiple of all numbers is one of the scale.
  if (x.tail.factor > 0 && !x.tail.bounded()) {
    OnnxScale scale = builder_.scale_of(x.value);
    scale.scale = float(scale.scale * x.tail.factor);
    x = builder_.quantize(node, x, scale, x.sole);
    x.codes = false;
    return x;
  }
  graph_.refuse(node,
                "the activation function before it has no scale; put QuantizeLinear and DequantizeLinear between");
}

Activation Pass::unquantized_image(const OnnxNode& node, Activation x) {
  const QuantizedNetwork& n = builder_.network;
  // x = step * pixel + offset; each pixel is a code where step is one, and offset is a whole number of steps.
  OnnxScale scale;
  for (std::size_t c = 0; c < x.factor.size(); ++c) {
    const double step = x.factor[c] / (255 * n.standard_deviation[c]);
    const double zero = 255 * n.mean[c] - x.offset[c] / step, whole = std::nearbyint(zero);
    const bool same = c == 0 || (std::abs(step / scale.scale - 1) < 1e-6 && int(whole) == scale.zero_point);
    if (!(step > 0) || !(whole >= 0 && whole <= 255) || std::abs(zero - whole) > 1e-4 || !same || x.codes)
      graph_.refuse(node,
                    "its input, the image, is not quantized, and by --preprocessing and the graph its pixels are no "
                    "codes of one scale; put QuantizeLinear and DequantizeLinear between");
    if (c == 0) scale = {step, int(whole), 0, 255};
  }
  x = builder_.quantize(node, std::move(x), scale, false);
  x.codes = false;
  note(node, "reads the image, which is not quantized: its pixels are its codes");
  return x;
}

void Pass::put(const OnnxNode& node, Activation result) {
  result.sole = result.sole && sole(node);
  const bool made = result.kind == Activation::Kind::value && result.tail.plain();
  if (made) result.sources.clear();
  else if (constexpr std::size_t most = 100; result.sources.size() < most) result.sources.push_back(label(node));
  tensors_[node.outputs.front()] = std::move(result);
}

bool Pass::sole(const OnnxNode& node) const {
  const auto found = graph_.readers.find(node.outputs.front());
  return found != graph_.readers.end() && found->second.size() == 1;
}

const OnnxNode* Pass::sole_reader(const OnnxNode& node) const {
  if (!sole(node)) return nullptr;
  const std::size_t reader = graph_.readers.at(node.outputs.front()).front();
  return reader < graph_.nodes.size() ? &graph_.nodes[reader] : nullptr;
}

void Pass::note(const OnnxNode& node, const std::string& what) {
  builder_.notes.push_back(fmt::format("{}: {}", label(node), what));
}

Activation Pass::output(const std::string& tensor) {
  const auto found = tensors_.find(tensor);
  if (found == tensors_.end()) fail("{}: output {} does not depend on the image", graph_.file, tensor);
  const OnnxNode* at = &graph_.nodes.back();
  for (const OnnxNode& node : graph_.nodes)
    if (node.outputs.front() == tensor) at = &node;
  Activation result = found->second;
  result.ended = false;
  refuse_pads(*at, result);
  if (result.dims.size() > 2 && result.shape.positions() > 1)
    graph_.refuse(*at,
                  "makes the output, [{}], which has several numbers for a class; average it over the plane, or choose "
                  "another tensor by --output NAME",
                  fmt::join(result.dims, ", "));
  if (!result.channels.empty()) result = builder_.select(*at, std::move(result));
  if (result.kind == Activation::Kind::draft || (result.kind == Activation::Kind::value && !result.tail.plain()))
    result = builder_.close(*at, result);
  if (result.kind == Activation::Kind::image || result.value == image_value)
    graph_.refuse(*at, "makes the output, which is the image itself");
  return result;
}

}  // namespace triseg
