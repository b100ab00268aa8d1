// Weights and biases of convolutions and fully connected layers.
#pragma once

#include "importer/activation.hpp"

#include <vector>

namespace triseg {

/// Puts a weight tensor (out, in / groups, height, width), or (out, in) for a plane of 1 x 1, into the draft: codes
/// without zero point and a scale for each output channel. Throws Error for weights that are not quantized, not
/// symmetric or have a scale a slice of another axis.
void set_weights(const OnnxGraph& graph, const OnnxNode& node, const OnnxTensor& weights, Draft& draft);

/// Adds a tensor of one number an output channel, or one number, to the bias of a draft whose weights are set.
/// Integers whose scale is s_in * s_w are taken as they are; real numbers are divided by it. `input` is s_in.
void add_bias(const OnnxGraph& graph, const OnnxNode& node, const OnnxTensor& bias, double input, Draft& draft);

/// Multiplies each output channel of a draft. Throws Error for a negative factor of weights that are -128.
void multiply_channels(const OnnxGraph& graph, const OnnxNode& node, const std::vector<double>& factor, Draft& draft);

/// Gives a convolution the multipliers and biases with which each output channel c has the code
/// first + (number of thresholds[c] that are not above it), `input` being s_in and `zero_point` that of the output.
/// `least` and `most` are the bounds of the input's codes less its zero point. Integer weights may be multiplied by
/// one whole number a channel, for a finer unit of the bias. Returns how many thresholds no multiplier and bias hold: 0
/// if it is done.
int set_thresholds(Draft& draft, const std::vector<std::vector<double>>& thresholds, double input, int zero_point,
                   int least, int most);

/// Gives a convolution of Draft::one_weight the weights, multipliers and biases with which each output channel has the
/// nearest codes, within `lowest` and `highest`, for all codes of its input: those less its zero point are from `least`
/// to `most`, its scale is `input`. Returns how many codes are missed, 0 in nearly all cases.
int fit_codes(Draft& draft, double input, int least, int most, const CodeScale& output, int lowest, int highest);

/// Makes a convolution of the averages' input of one, with a window of 1 x 1, of averages. Its bias must not be set.
void spread_weights(const Node& average, Draft& draft);

/// Makes a convolution that reads the `channels` of a value, each once, one that reads all, `inputs`, most with weight
/// 0.
void widen_weights(const std::vector<int>& channels, int inputs, Draft& draft);

/// The matrix (out, K) of weights whose inputs come in the order (H, W, C), in the order (C, H, W).
OnnxTensor with_channels_first(const OnnxTensor& matrix, const Shape& input);

}  // namespace triseg
