// The network while it grows: drafts become nodes once their scales are known.
#pragma once

#include "importer/activation.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace triseg {

class Builder {
 public:
  explicit Builder(const OnnxGraph& graph) : graph_(graph) {}

  QuantizedNetwork network;
  std::vector<std::string> notes;

  /// The scale that the ONNX file gives a value.
  const OnnxScale& scale_of(int value) const { return scales_[value + 1]; }
  bool image_quantized() const { return image_quantized_; }
  /// Never below real zero.
  bool nonnegative(int value) const;

  /// The tensor behind a scale: the value that it already is, or a new node. `at` is the ONNX node that sets the scale.
  Activation quantize(const OnnxNode& at, Activation input, const OnnxScale& scale, bool sole);
  /// The image of a graph that takes integers: pixels are its codes. The network's normalization follows from the
  /// scale.
  Activation start_from_codes(const OnnxNode& at, Activation image, const OnnxScale& scale);
  /// The channels of a value that the tensor has, as a value of their own: a convolution with weights 0 and 1.
  Activation select(const OnnxNode& at, Activation x);
  /// Adds the maximum node of a value.
  int add_maximum(const OnnxNode& at, Node node, int value);
  /// Adds a constant; the name is made of the ONNX node's.
  int add_constant(const OnnxNode& at, const Shape& shape, std::vector<std::uint8_t> codes, const CodeScale& scale);
  /// A shape of the node on top of what is there. Throws Error naming the ONNX node where it does not fit.
  Shape shape_of(const OnnxNode& at, const Node& node, const std::vector<Node>& pools = {});

  /// Gives the logits a scale where the file has none (missing_scales.cpp).
  Activation close(const OnnxNode& at, Activation logits);
  /// The scale that a draft without one may have: of a concatenation of equal scales theirs, of an average its input's.
  std::optional<OnnxScale> natural_scale(const Draft& draft) const;
  /// The least and largest real number of a value.
  struct Range {
    double least, most;
  };
  Range range(int value) const;

 private:
  /// `sources` are the ONNX nodes that it is made of; none: `at`.
  int add(const OnnxNode& at, Node node, QuantizedNode numbers, const OnnxScale& scale,
          const std::vector<std::string>& sources = {});
  int finish(const OnnxNode& at, Draft& draft, const OnnxScale& scale, const std::vector<std::string>& sources);
  int add_table(const OnnxNode& at, const Activation& input, const OnnxScale& scale);
  /// Multipliers are those of ONNX Runtime, s_in * s_w / s_out with each operation rounded to float32. For the INT8
  /// contract, which takes product and quotient in double, weight scales change by about one part in 10^7.
  void finish_convolution(const OnnxNode& at, const Draft& draft, QuantizedNode& numbers, int input) const;
  void quantize_image(const OnnxNode& at, const Activation& input, const OnnxScale& scale);
  bool folds(const Activation& input, const OnnxScale& scale) const;
  void fold_bounds(const Activation& input, const OnnxScale& scale);
  Range logit_range(const OnnxNode& at, const Activation& logits) const;

  const OnnxGraph& graph_;
  std::vector<OnnxScale> scales_{OnnxScale{}};  // by value + 1
  std::map<std::string, int> names_;            // of nodes: how many wanted each
  bool image_quantized_ = false;
  std::vector<double> image_factor_, image_offset_;  // (channels) what the image was multiplied by, and what was added
  std::map<std::pair<int, std::vector<int>>, int> selected_;  // by value and channels
};

}  // namespace triseg
