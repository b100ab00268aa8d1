// Plain loops over (C,H,W) codes: the oracle that every other engine is compared with.
#pragma once

#include "worker/engine.hpp"

namespace triseg {

std::unique_ptr<Engine> make_reference_engine(const Problem& problem);

/// acc (images, positions, out_channels) of one layer for input codes (images, in_channels, in_side, in_side).
/// The self-test of the other engines uses it directly.
std::vector<std::int32_t> reference_accumulators(const Layer& shape, const QuantizedLayer& layer,
                                                 std::span<const std::int32_t> bias,
                                                 std::span<const std::uint8_t> codes, int images);

/// q_out of one accumulator of channel c (docs/int8-contract.md).
std::uint8_t requantize(std::int32_t accumulator, float multiplier, int zero_point, int lowest);

}  // namespace triseg
