// From trained float weights and observed ranges to a network in INT8.
#pragma once

#include "network/quantized_network.hpp"

#include <span>
#include <string>
#include <vector>

namespace triseg {

/// One node after training: batch norm already folded, the scale of its value already chosen.
struct TrainedNode {
  std::vector<float> weights;  // convolutions: (out_channels, in_channels / groups, height, width)
  std::vector<float> bias;     // convolutions: (out_channels)
  CodeScale output;
};

struct TrainedNetwork {
  std::vector<double> mean, standard_deviation;  // (input channels)
  CodeScale input;
  std::vector<TrainedNode> nodes;  // one per network.nodes
};

/// Symmetric s8 weight scales of a convolution's output channels, max|w| / 127 in float32, from each channel's max|w|:
/// its own (fbgemm) or the largest of all (qnnpack). A channel whose largest weight is below 1/1024 of the largest gets
/// the scale of that bound, so that biases stay small.
std::vector<float> weight_scales(Scheme scheme, std::span<const float> largest);

/// A ReLU output observed up to `maximum`: zero point 0, `maximum` at code activation_range(scheme). Larger values
/// still have codes up to 255.
CodeScale relu_scale(Scheme scheme, double maximum);

/// A signed quantity observed in [minimum, maximum] (widened to hold 0), over codes 0..activation_range(scheme).
CodeScale affine_scale(Scheme scheme, double minimum, double maximum);

/// The scale of the network input: affine over every value that a pixel 0..255 of any channel can take.
CodeScale pixel_scale(Scheme scheme, std::span<const double> mean, std::span<const double> standard_deviation);

/// True for an operation that networks in training have: all but table and constant.
bool is_trained(Operation operation);

/// Weights rint(w / s_w) in [-127, 127], bias rint(b / (s_in * s_w)), multipliers float32(s_in * s_w / s_out).
/// An input of a concatenation whose scale is not that of the output goes through a map of codes, clamp(rint((q - z_in)
/// * s_in / s_out) + z_out, 0, 255) in double. Throws Error for an operation that is not trained (is_trained), if the
/// result does not pass check(), or a bias does not fit 32 bits.
QuantizedNetwork convert(const Network& network, Scheme scheme, const std::string& data, const TrainedNetwork& trained);

}  // namespace triseg
