// A network in INT8: weights, biases and scales under the arithmetic of docs/int8-contract.md.
#pragma once

#include "network/network.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace triseg {

/// The quantization scheme, named as in PyTorch: `fbgemm` has a weight scale per output channel and a 7-bit activation
/// range (reduce_range); `qnnpack` has one weight scale per node and the full 8-bit range.
enum class Scheme { fbgemm, qnnpack };

std::string_view scheme_name(Scheme scheme);
/// Throws Error for a name that is neither fbgemm nor qnnpack.
Scheme parse_scheme(std::string_view name);
/// The largest activation code a calibrated value maps to: 127 for fbgemm, 255 for qnnpack. Codes up to 255 stay
/// possible.
int activation_range(Scheme scheme);

/// An affine 8-bit code: real value = scale * (q - zero_point).
struct CodeScale {
  double scale = 0.0;
  int zero_point = 0;

  bool operator==(const CodeScale&) const = default;
};

/// How an accumulator becomes a code: q = clamp(rint(float32(acc) * multiplier[c]) + z_out, lowest, highest),
/// with acc = sum((q_in - z_in) * w) + bias[c].
struct Requantization {
  std::vector<float> multiplier;   // (out_channels)
  std::vector<std::int32_t> bias;  // (out_channels), at scale s_in * s_w[c]

  bool operator==(const Requantization&) const = default;
};

/// A student's own requantization per node, where it has one; empty: the model's own everywhere. Only convolutions have
/// one.
using Repair = std::vector<std::optional<Requantization>>;

/// What a code becomes.
using CodeMap = std::array<std::uint8_t, 256>;

/// The numbers of a node. Which members hold something depends on the operation.
struct QuantizedNode {
  CodeScale output;
  int lowest = 0,
      highest = 255;  ///< every code of its value lies between; behind a ReLU lowest is 0, as is its zero point

  // Convolution.
  std::vector<std::int8_t> weights;  // (out_channels, in_channels / groups, height, width)
  std::vector<double> weight_scale;  // (out_channels); all equal under qnnpack
  Requantization requantization;     // multiplier[c] = float32(s_in * s_w[c] / s_out)
  // Table: one. Concatenate: one an input, or none where all inputs have the scale of the output.
  std::vector<CodeMap> maps;
  // Constant.
  std::vector<std::uint8_t> codes;  // (channels, height, width)
};

struct QuantizedNetwork {
  Network network;
  Scheme scheme = Scheme::fbgemm;
  std::string data, data_sha256;  ///< name and content digest (DataSet) of what it was trained on; digest "": not known
  std::vector<double> mean, standard_deviation;  // (input channels): x = (pixel / 255 - mean) / standard_deviation
  CodeScale input;                               ///< of the image
  std::vector<QuantizedNode> nodes;              // one per network.nodes

  /// The scale of a value: of the image for image_value.
  const CodeScale& scale(int value) const { return value == image_value ? input : nodes[value].output; }
  /// The scale of a node's first input.
  const CodeScale& input_scale(std::size_t node) const { return scale(network.nodes[node].inputs.front()); }
  const CodeScale& logits() const { return nodes.back().output; }
};

/// The input codes of the 256 pixel values of one channel: q = clamp(rint(x / s) + z, 0, 255), all in float32,
/// rint rounding half to even. Padding of the image itself is pixel 0.
std::array<std::uint8_t, 256> input_codes(const QuantizedNetwork& network, int channel);

/// Fraction bits of the tables that an addition sums.
inline constexpr int add_fraction_bits = 20;
/// The table of operand number `operand` of an addition: (256) rint(s_in * (q - z_in) / s_out * 2^20), in double, the
/// first one's with z_out * 2^20 besides. The code is clamp((a + b) / 2^20 rounded half to even, lowest, highest).
std::array<std::int32_t, 256> add_table(const QuantizedNetwork& network, std::size_t node, std::size_t operand);

/// The multiplier of a multiplication, float32(s_a * s_b / s_out), of products (q_a - z_a) * (q_b - z_b); and of an
/// average over `count` codes, float32(s_in / (s_out * count)), of sums of q - z_in. Computed in double.
float multiply_multiplier(const QuantizedNetwork& network, std::size_t node);
float average_multiplier(const QuantizedNetwork& network, std::size_t node, int count);

/// The largest |accumulator| a convolution can reach with codes 0..255: max over channels of
/// max(255 * sum(w+), 255 * sum(w-)) + |bias|, sums over the channel's weights, zero point taken into account.
/// Below 2^24, float32 accumulation in any order is exact; check() keeps it within 32 bits.
std::int64_t accumulator_bound(const QuantizedNetwork& network, std::size_t node);

/// The largest |bias| of a channel with which no accumulator can leave 32 bits; negative if its weights alone make
/// them.
std::int64_t largest_bias(const QuantizedNetwork& network, std::size_t node, std::size_t channel);

/// Checks what every engine relies on: sizes, scales that are positive normal float32 numbers (under qnnpack one of the
/// weights a node), zero points within the codes, zero point and lowest code 0 behind a ReLU, positive normal
/// multipliers (of a convolution equal to float32(s_in * s_w / s_out)), accumulators and table sums that stay within 32
/// bits for all codes, a maximum's scale that is its input's. Throws Error naming node and field.
void check(const QuantizedNetwork& network);

/// Checks the same of a repair for this model: sizes, none of a node that is no convolution, positive normal
/// multipliers, biases whose accumulators stay within 32 bits. Throws Error naming node and channel.
void check_repair(const QuantizedNetwork& network, const Repair& repair);

}  // namespace triseg
