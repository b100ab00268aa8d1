// The pass over the nodes of an ONNX graph, in order, which knows what every tensor is.
#pragma once

#include "importer/activation.hpp"
#include "importer/builder.hpp"
#include "importer/onnx_graph.hpp"

#include <map>
#include <string>
#include <vector>

namespace triseg {

/// What a handler reads beside tensors of all channels of a value, in order, without zeros around them.
struct Takes {
  bool pads = false;      ///< Activation::pads
  bool channels = false;  ///< Activation::channels, and groups of them
};

class Pass {
 public:
  explicit Pass(OnnxGraph& graph) : graph_(graph), builder_(graph) {}

  Builder& builder() { return builder_; }
  /// Throws Error for the first operator that cannot be imported, and for a graph that is not quantized.
  void check_operators() const;
  /// The tensor that is the image; the file is made for `batch` of them, or for any number (-1).
  void start(const std::string& tensor, Activation image, std::int64_t batch) {
    tensors_[tensor] = std::move(image);
    batch_ = batch;
  }
  void run();
  /// The node that makes the tensor; `ended` may be given.
  Activation output(const std::string& tensor);

 private:
  using Handler = void (Pass::*)(const OnnxNode&);
  static const std::map<std::string, Handler>& handlers();

  // tensors
  bool is_activation(const OnnxNode& node, std::size_t input) const;
  /// The tensor of an input. Throws Error where it is a constant, left out, or stands behind a Pad that the handler
  /// does not take; makes a node of channels that it does not take.
  Activation input(const OnnxNode& node, std::size_t index, Takes takes = {});
  /// The input as a value that has a scale and no tail.
  Activation value_input(const OnnxNode& node, std::size_t index, Takes takes = {});
  /// Throws Error if zeros stand around the tensor: the node would change them, or count them otherwise.
  void refuse_pads(const OnnxNode& node, const Activation& x) const;
  /// Quantizes the node's first input by its scale: once for all nodes that do the same.
  Activation quantized(const OnnxNode& node, Activation x, const OnnxScale& scale);
  Activation as_value(const OnnxNode& node, Activation x);
  /// The image of a graph that does not quantize it, whose pixels are codes.
  Activation unquantized_image(const OnnxNode& node, Activation x);
  /// The input of a convolution with these weights: a value, or an average without a scale that becomes part of it.
  Activation convolution_input(const OnnxNode& node, const OnnxTensor& weights, Takes takes = {});
  void put(const OnnxNode& node, Activation result);
  void note(const OnnxNode& node, const std::string& what);
  /// One reader has the node's output.
  bool sole(const OnnxNode& node) const;
  /// That reader; null for several, and for the graph's output.
  const OnnxNode* sole_reader(const OnnxNode& node) const;

  // windows (window_operators.cpp)
  Window window_of(const OnnxNode& node, const Activation& x, int height, int width) const;
  void conv(const OnnxNode& node);
  void gemm(const OnnxNode& node);
  void matmul(const OnnxNode& node);
  void max_pool(const OnnxNode& node);
  void global_max_pool(const OnnxNode& node);
  void average_pool(const OnnxNode& node);
  void global_average_pool(const OnnxNode& node);
  void reduce_mean(const OnnxNode& node);
  Activation convolution(const OnnxNode& node, Activation x, const OnnxTensor& weights);
  Activation full_plane(const OnnxNode& node, Activation x, OnnxTensor matrix);
  Activation average(const OnnxNode& node, Activation x, const Window& window, bool count_padding);
  Activation mean_over_plane(const OnnxNode& node, Activation x);
  Activation maximum(const OnnxNode& node, Activation x, const Window& window);

  // element by element (element_operators.cpp)
  void relu(const OnnxNode& node);
  void clip(const OnnxNode& node);
  void min_max(const OnnxNode& node);
  void function(const OnnxNode& node);
  void batch_normalization(const OnnxNode& node);
  void add(const OnnxNode& node);
  void multiply(const OnnxNode& node);
  void softmax(const OnnxNode& node);
  Activation dropped_softmax(const OnnxNode& node, Activation x, std::int64_t opset);
  Activation bounded(const OnnxNode& node, Activation x, double lower, double upper) const;
  Activation binary(const OnnxNode& node, Operation operation, Activation a, Activation b);
  Activation with_constant(const OnnxNode& node, Operation operation, Activation x, const OnnxTensor& constant);
  Activation constant_value(const OnnxNode& node, const OnnxTensor& constant, const Activation& beside);
  /// True of one number, and of one a channel.
  bool is_per_channel(const OnnxTensor& tensor, const Activation& x) const;
  std::vector<double> per_channel(const OnnxNode& node, const OnnxTensor& tensor, const Activation& x) const;
  /// The depthwise convolution that multiplies each channel of a value and adds to it.
  Activation scaled_channels(const OnnxNode& node, Activation x, const std::vector<double>& factor,
                             const std::vector<double>& offset);
  /// True where products and sums of the two are those of a convolution or the image, or a table of one value.
  bool is_affine(const Activation& x, const OnnxTensor& constant) const;
  void affine(const OnnxNode& node, Activation x, const OnnxTensor& factor, const OnnxTensor& offset);

  // shapes (shape_operators.cpp)
  void identity(const OnnxNode& node);
  void shape(const OnnxNode& node);
  void flatten(const OnnxNode& node);
  void reshape(const OnnxNode& node);
  void squeeze(const OnnxNode& node);
  void transpose(const OnnxNode& node);
  void pad(const OnnxNode& node);
  void concat(const OnnxNode& node);
  void slice(const OnnxNode& node);
  void split(const OnnxNode& node);
  void gather(const OnnxNode& node);
  Activation viewed(const OnnxNode& node, Activation x, std::vector<std::int64_t> dims);
  /// The axis of channels of an operator along `axis`. Throws Error for another one.
  std::size_t channel_axis(const OnnxNode& node, const Activation& x, std::int64_t axis) const;
  /// The tensor of some of a tensor's channels.
  Activation chosen(const OnnxNode& node, Activation x, const std::vector<std::int64_t>& channels);
  Activation concatenated(const OnnxNode& node, std::vector<Activation> parts);

  // scales and integers (integer_operators.cpp)
  void quantize_linear(const OnnxNode& node);
  void dequantize_linear(const OnnxNode& node);
  void quant(const OnnxNode& node);
  void multi_threshold(const OnnxNode& node);
  void qlinear_conv(const OnnxNode& node);
  void qlinear_matmul(const OnnxNode& node);
  void qgemm(const OnnxNode& node);
  void qlinear_binary(const OnnxNode& node);
  void qlinear_concat(const OnnxNode& node);
  void qlinear_pool(const OnnxNode& node);
  void qlinear_function(const OnnxNode& node);
  void qlinear_softmax(const OnnxNode& node);
  Activation dequantized(const OnnxNode& node, std::size_t index, Takes takes = {});
  OnnxTensor dequantized_constant(const OnnxNode& node, std::size_t index, int axis) const;
  /// The scale that inputs `first` and `first` + 1 give the node's output, with the bounds of a Clip behind it.
  OnnxScale output_scale(const OnnxNode& node, std::size_t first) const;
  void put_quantized(const OnnxNode& node, Activation x, std::size_t scale);

  OnnxGraph& graph_;
  Builder builder_;
  std::map<std::string, Activation> tensors_;
  std::map<std::string, std::vector<std::pair<OnnxScale, Activation>>>
      quantized_;  // of tensors that several nodes read
  std::int64_t batch_ = -1;
};

}  // namespace triseg
