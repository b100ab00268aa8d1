// The GPU engine: u8 x s8 -> s32 products on tensor cores with requantization, table, attention and pooling in the same
// kernel, all students of a call in one product a convolution; other operations a kernel each.
#pragma once

#include "worker/engine.hpp"

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace triseg {

/// Why the engine cannot run the network: "node X: cuda has no ...". None: it can.
std::optional<std::string> cuda_engine_refusal(const Problem& problem);

/// True if some GPU can be used by this build.
bool cuda_engine_runs_here();

/// Makes the context of GPU `device`; nothing happens if there is no such device.
void start_gpu(int device);

/// An engine on GPU `device`, as devices() numbers them. Integer products need no bound on the weights. What no
/// staircase precedes is computed once for all students of the loaded images. Throws Error if
/// there is no such device, if it is older than compute capability 8.0 or this build has no code for it, and for a
/// network that cuda_engine_refusal() refuses. `problem` must outlive the engine.
///
/// activation_bytes: device memory for the students' activations; those that do not fit at once run in several parts.
std::unique_ptr<Engine> make_cuda_engine(const Problem& problem, int device,
                                         std::size_t activation_bytes = std::size_t{6} << 30);

struct StepTime {
  std::string name;  ///< of the node
  double seconds = 0;
};
/// How long the steps of a forward take, each a kernel or two, in the order in which they run; those that run once for
/// the loaded images are not among them. engine: of make_cuda_engine(), with images; medians of `repetitions` forwards.
std::vector<StepTime> time_steps(Engine& engine, std::span<const Student> students, int repetitions);

}  // namespace triseg
