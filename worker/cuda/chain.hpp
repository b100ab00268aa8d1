// Which networks the CUDA engine runs: chains of convolutions, each with at most a maximum behind it.
#pragma once

#include "network/problem.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace triseg {

/// A convolution and the maximum that is taken in the same pass.
struct ChainStep {
  std::size_t node = 0;
  int pool = -1;      ///< its node; -1: none
  int pool_side = 1;  ///< 1: none
};

/// Why the engine cannot run the network: "node X: cuda has no `add`". None: it can.
std::optional<std::string> cuda_engine_refusal(const Problem& problem);

/// The chain of a network that is not refused.
std::vector<ChainStep> chain_steps(const Problem& problem);

}  // namespace triseg
