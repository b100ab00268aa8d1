// The CPU engine: u8 x s8 -> s32 convolutions, its own and oneDNN's, and loops for everything else.
#pragma once

#include "worker/engine.hpp"

namespace triseg {

/// Runs every operation. Each convolution runs in the fastest way that is exact on this CPU
/// (worker/cpu/convolution.hpp), self-tested against the reference on random and extreme codes; description() tells
/// which. Throws Error naming the node if none is exact. `problem` must outlive the engine. Keeps oneDNN to the calling
/// thread.
std::unique_ptr<Engine> make_onednn_engine(const Problem& problem);

}  // namespace triseg
