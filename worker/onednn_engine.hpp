// The CPU engine: oneDNN u8 x s8 -> s32 convolutions and inner products, and a fused requantize, table and pool pass.
#pragma once

#include "worker/engine.hpp"

namespace triseg {

/// Each layer is self-tested against the reference on random codes. Where int8 is not exact on this CPU (16-bit pair
/// sums saturate without VNNI), the layer runs in float32 on integer values, if accumulator_bound() allows it; if
/// neither is exact, throws Error naming the layer.
std::unique_ptr<Engine> make_onednn_engine(const QuantizedNetwork& network);

}  // namespace triseg
