// Counter-based random numbers: every draw is a pure function of a key and a counter, never of a rank or of a history.
#pragma once

#include <array>
#include <cstdint>

namespace triseg {

/// Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key);

/// What a random number is for. Streams never overlap.
enum class Stream : std::uint32_t {
  action = 1,
  image_order = 2,
  shapes = 3,
  self_test = 4,
  initial_weights = 5,
  sweep = 6,
  gradient_order = 7
};

/// Uniform in [0, 1) with 53 random bits, keyed by (seed, stream, a, b, c), for instance (seed, action, episode, site,
/// head).
double uniform(std::uint64_t seed, Stream stream, std::uint64_t a, std::uint32_t b = 0, std::uint32_t c = 0);

/// Uniform in 0..bound-1, keyed likewise.
std::uint32_t uniform_below(std::uint32_t bound, std::uint64_t seed, Stream stream, std::uint64_t a,
                            std::uint32_t b = 0, std::uint32_t c = 0);

}  // namespace triseg
