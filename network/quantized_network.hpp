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
/// range (reduce_range); `qnnpack` has one weight scale per layer and the full 8-bit range.
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
};

/// How an accumulator becomes a code: q = clamp(rint(float32(acc) * multiplier[c]) + z_out, lo, 255),
/// with acc = sum((q_in - z_in) * w) + bias[c].
struct Requantization {
  std::vector<float> multiplier;   // (out_channels)
  std::vector<std::int32_t> bias;  // (out_channels), at scale s_in * s_w[c]

  bool operator==(const Requantization&) const = default;
};

/// A student's own requantization per layer, where it has one; empty: the model's own everywhere.
using Repair = std::vector<std::optional<Requantization>>;

struct QuantizedLayer {
  std::vector<std::int8_t>
      weights;  // (out_channels, in_channels, kernel, kernel); fully connected (out, in), in = (C,H,W) flattened
  std::vector<double> weight_scale;  // (out_channels); all equal under qnnpack
  CodeScale input;
  CodeScale output;
  Requantization requantization;  // multiplier[c] = float32(s_in * s_w[c] / s_out)
};

struct QuantizedNetwork {
  Network network;
  Scheme scheme = Scheme::fbgemm;
  std::string data, data_sha256;  ///< name and content digest (DataSet) of what it was trained on; digest "": not known
  std::vector<double> mean, standard_deviation;  // (input_channels): x = (pixel / 255 - mean) / standard_deviation
  std::vector<QuantizedLayer> layers;            // one per network.layers

  const CodeScale& input() const { return layers.front().input; }
  const CodeScale& logits() const { return layers.back().output; }
};

/// lo of the requantization: z_out behind a ReLU, else 0.
int lowest_code(const Layer& layer, const QuantizedLayer& quantized);

/// The input codes of the 256 pixel values of one channel: q = clamp(rint(x / s) + z, 0, 255), all in float32,
/// rint rounding half to even. Padding of the image itself is pixel 0.
std::array<std::uint8_t, 256> input_codes(const QuantizedNetwork& network, int channel);

/// The largest |accumulator| the layer can reach with codes 0..255: max over channels of
/// max(255 * sum(w+), 255 * sum(w-)) + |bias|, sums over the channel's weights, zero point taken into account.
/// Below 2^24, float32 accumulation in any order is exact; check() keeps it within 32 bits.
std::int64_t accumulator_bound(const QuantizedLayer& layer);

/// The largest |bias| of a channel with which no accumulator can leave 32 bits; negative if its weights alone make
/// them.
std::int64_t largest_bias(const QuantizedLayer& layer, std::size_t channel);

/// Checks what every engine relies on: sizes, scales that are positive normal float32 numbers (under qnnpack one of the
/// weights a layer), codes' zero points in 0..255, z_out = 0 behind a ReLU, each layer's input equal to the previous
/// output, positive normal multipliers equal to float32(s_in * s_w / s_out), accumulators that stay within 32 bits for
/// all codes. Throws Error naming layer and field.
void check(const QuantizedNetwork& network);

/// Checks the same of a repair for this model: sizes, positive normal multipliers, biases whose accumulators stay
/// within 32 bits. Throws Error naming layer and channel.
void check_repair(const QuantizedNetwork& network, const Repair& repair);

}  // namespace triseg
