// A step of the network as the device needs it: numbers in device memory, shapes, and how it depends on students.
#pragma once

#include "worker/cuda/cuda_memory.hpp"
#include "worker/cuda/value_kernels.hpp"
#include "worker/schedule.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace triseg {

/// The number that DeviceStep::inputs has for the image.
inline constexpr int image_step = -1;

struct DeviceStep {
  std::size_t node = 0;
  int pool = -1;  ///< the maximum that is taken in the same pass: its node; -1: none
  Operation operation = Operation::convolution;
  std::vector<int> inputs;  ///< numbers of steps, or image_step
  /// A convolution: the step of an addition that may be run with it, in its place, where codes in front of the addition
  /// are of no interest; the addition: that convolution. -1: none.
  int addition = -1, product = -1;
  OutputShape shape{};  ///< but for images and instances
  int site = -1, attention = -1;

  /// No student has a say in its inputs; in its value and attention neither.
  bool inputs_fixed = false, value_fixed = false;
  /// Its sums are made once for the loaded images: only what students do to them differs.
  bool keeps_sums() const { return inputs_fixed && !value_fixed && operation == Operation::convolution; }

  // Convolution. With a border the input is copied into one that holds its zero point.
  bool depthwise = false;
  Convolution convolution{};
  BorderedCopy border{};  ///< to: null if the input needs none
  bool bordered = false;
  DeviceArray<std::int8_t> weights;
  DeviceArray<Tap> taps;
  Requantization own;                    ///< padded, bias corrected
  std::vector<std::int32_t> correction;  // (channels): -z_in * sum of the channel's weights
  DeviceArray<std::int32_t> device_correction;
  DeviceArray<float> own_multiplier;
  DeviceArray<std::int32_t> own_bias;

  // Others.
  WindowPlace window{};                ///< also of a depthwise convolution
  bool count_padding = false;          ///< average
  DeviceArray<float> multipliers;      ///< average: by count
  DeviceArray<std::int32_t> tables;    ///< addition: (2, 256)
  float multiplier = 0;                ///< multiplication
  DeviceArray<std::uint8_t> maps;      ///< table, concatenation: (inputs, 256), or empty
  DeviceArray<std::uint8_t> constant;  ///< constant: (height, width, padded_channels)
  Epilogue epilogue{};                 ///< but for what a call brings

  /// Bytes of one image's value.
  std::size_t output_bytes() const {
    return std::size_t(shape.pooled_height) * shape.pooled_width * shape.padded_channels;
  }
  /// Elements of one image's attention map.
  std::size_t map_size() const { return epilogue.attention_per_channel ? shape.channels : shape.positions(); }
  /// Bytes of one image's input within its border.
  std::size_t border_bytes() const {
    return bordered ? std::size_t(border.height) * border.width * convolution.channels : 0;
  }
};

/// All steps of a network, in an order in which each comes after its inputs; the last one makes the logits.
std::vector<DeviceStep> make_device_steps(const Problem& problem);

/// A requantization as the device has it: bias corrected for the input's zero point. multiplier, bias:
/// (padded_channels), of which those beyond the channels stay as they are.
void fill_requantization(const DeviceStep& step, const Requantization& from, float* multiplier, std::int32_t* bias);

/// Where the value of each step lies in one image's share of memory, bytes; the logits, constants and values that no
/// student has a say in lie elsewhere. Whoever has n images multiplies by n.
Arena place_values(std::span<const DeviceStep> steps);

}  // namespace triseg
