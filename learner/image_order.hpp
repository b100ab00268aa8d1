// Which images an iteration sees.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace triseg {

/// The `count` images of 0..total-1 that iteration `iteration` draws: consecutive pieces of a permutation of all
/// images, a fresh permutation for each pass; a function of (seed, iteration) alone.
std::vector<std::uint32_t> iteration_images(std::size_t total, std::size_t count, std::uint64_t seed,
                                            std::uint64_t iteration);

}  // namespace triseg
