// What a tensor of an ONNX graph is while a network is made of it.
#pragma once

#include "importer/constants.hpp"
#include "network/quantized_network.hpp"

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace triseg {

/// In which order an ONNX tensor has the elements of a value (C, H, W).
/// grouped: (groups, C / groups, H, W), as channels are shuffled.
enum class Order { nchw, nhwc, flat_chw, flat_hwc, grouped };

/// Zeros around a plane.
struct Pads {
  int top = 0, left = 0, bottom = 0, right = 0;

  bool any() const { return top || left || bottom || right; }
};

/// The numbers that a function of one number makes of the codes of a value, within bounds.
struct Tail {
  std::vector<float> reals;  ///< (256) that of each code; none: the function is identity
  double factor = 1;         ///< of a function that multiplies by a positive number; 0 of any other
  double lower = -std::numeric_limits<double>::infinity();
  double upper = std::numeric_limits<double>::infinity();

  bool bounded() const {
    return lower > -std::numeric_limits<double>::infinity() || upper < std::numeric_limits<double>::infinity();
  }
  bool plain() const { return reals.empty() && !bounded(); }
  /// What a code of a value of this scale becomes.
  float operator()(const CodeScale& scale, int code) const;
  /// The tail of f behind this one.
  Tail then(const CodeScale& scale, const std::function<float(float)>& f) const;
};

/// A node whose output has no scale yet.
struct Draft {
  Node node;
  QuantizedNode numbers;     ///< of a convolution: weights and weight_scale
  std::vector<double> bias;  ///< of a convolution, in accumulators
  bool one_weight = false;   ///< each output channel has one weight, 1 or -1, and reads one channel
  std::vector<Tail> tails;   ///< of concatenate: what happens to each input
  Tail tail;                 ///< bounds only
  std::vector<Node> pools;   ///< maxima that come behind it
  /// A zero point that is the lowest code means that a ReLU was folded into the scale.
  bool may_fold_relu = false;
};

struct Activation {
  enum class Kind { image, value, draft };

  Kind kind = Kind::image;
  int value = image_value;  ///< of kind value: what it is `tail` of
  bool codes = false;       ///< of kind value: still integers, not yet dequantized
  Tail tail;
  Draft draft;
  std::vector<double> factor, offset;  ///< of kind image: (channels) the tensor is factor * image + offset
  Shape shape;                         ///< of the tensor
  std::vector<std::int64_t> dims;      ///< the tensor's, of one image
  Order order = Order::nchw;
  Pads pads;                         ///< that the next window sees around it; `shape` and `dims` have none
  std::vector<int> channels;         ///< of kind value: those of the value that the tensor has; none: all, in order
  std::vector<std::string> sources;  ///< ONNX nodes since the last scale
  bool sole = false;                 ///< no other tensor than this one reads the value
  bool ended = false;                ///< a Softmax that is dropped stood before it
};

}  // namespace triseg
