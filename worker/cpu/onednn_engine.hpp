// The CPU engine: oneDNN u8 x s8 -> s32 convolutions, and loops for everything else.
#pragma once

#include "worker/engine.hpp"

namespace triseg {

/// Runs every operation. Each convolution is self-tested against the reference on random and extreme codes. Where one
/// int8 product is not exact on this CPU (16-bit pair sums saturate without VNNI), it runs as two with halved weights,
/// which are exact for any weights and half as fast; description() tells. Throws Error naming the node if even that is
/// not exact. `problem` must outlive the engine. Keeps oneDNN to the calling thread.
std::unique_ptr<Engine> make_onednn_engine(const Problem& problem);

}  // namespace triseg
