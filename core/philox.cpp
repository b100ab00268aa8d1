#include "core/philox.hpp"

namespace triseg {

std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> x, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53} * x[0], p1 = std::uint64_t{0xCD9E8D57} * x[2];
    x = {static_cast<std::uint32_t>(p1 >> 32) ^ x[1] ^ key[0], static_cast<std::uint32_t>(p1),
         static_cast<std::uint32_t>(p0 >> 32) ^ x[3] ^ key[1], static_cast<std::uint32_t>(p0)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return x;
}

namespace {

/// 64 random bits. The stream and c share a word: c is small (a head, a coordinate).
std::uint64_t bits(std::uint64_t seed, Stream stream, std::uint64_t a, std::uint32_t b, std::uint32_t c) {
  const auto x = philox4x32({static_cast<std::uint32_t>(a), static_cast<std::uint32_t>(a >> 32), b,
                             (static_cast<std::uint32_t>(stream) << 24) ^ c},
                            {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
  return (std::uint64_t{x[1]} << 32) | x[0];
}

}  // namespace

double uniform(std::uint64_t seed, Stream stream, std::uint64_t a, std::uint32_t b, std::uint32_t c) {
  return static_cast<double>(bits(seed, stream, a, b, c) >> 11) * 0x1.0p-53;
}

std::uint32_t uniform_below(std::uint32_t bound, std::uint64_t seed, Stream stream, std::uint64_t a, std::uint32_t b,
                            std::uint32_t c) {
  return static_cast<std::uint32_t>((static_cast<unsigned __int128>(bits(seed, stream, a, b, c)) * bound) >> 64);
}

}  // namespace triseg
