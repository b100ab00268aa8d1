// Quantized networks of ONNX files. docs/importing.md says what becomes what.
#pragma once

#include "network/quantized_network.hpp"

#include <optional>
#include <string>
#include <vector>

namespace triseg {

enum class ImageLayout { automatic, nchw, nhwc };

struct ImportOptions {
  std::string name;    ///< of the network; empty: the file's without folder and ending
  std::string output;  ///< the tensor that is the logits; empty: the graph's only output
  /// What the graph's input is made of pixels by: x = (pixel / 255 - mean) / deviation. One number, or one a channel.
  /// None: only a graph that takes pixels as integers can be imported.
  std::vector<double> mean, deviation;
  ImageLayout layout = ImageLayout::automatic;  ///< automatic: 1, 3 or 4 channels come first, else last
  std::optional<Shape> input;                   ///< for a file that leaves sizes of its input open
  /// As --attention-layers takes it. "default": the last value behind a ReLU of each of the last three resolutions.
  std::string attention_layers = "default";
};

struct Imported {
  QuantizedNetwork network;
  std::vector<std::string> notes;  ///< what each ONNX node became, what was dropped
};

/// Reads a network whose activations and weights are quantized to 8 bits: with QuantizeLinear and DequantizeLinear,
/// with Quant of QONNX, or with operators on integers (QLinearConv). Signed codes become unsigned ones by adding 128;
/// the codes of values behind a ReLU begin at 0. The result has passed check(). Throws Error "FILE: node NAME
/// (OPERATOR): what; what to do" for all that the INT8 contract does not have.
Imported import_onnx(const std::string& path, const ImportOptions& options);

/// Mean and deviation of --preprocessing: "imagenet", "cifar10", "0..1" (x = pixel / 255), "0..255" (x = pixel) or
/// "MEAN/DEVIATION" of x = (pixel / 255 - MEAN) / DEVIATION, numbers of several channels separated by commas. Throws
/// Error.
void set_preprocessing(ImportOptions& options, const std::string& text);

}  // namespace triseg
