// Exact first and second moments of integers, which add up over images, threads and ranks in any order.
#pragma once

#include <cstdint>
#include <type_traits>

namespace triseg {

/// Moments of one output channel's accumulators. The sum of their squares does not fit 64 bits; it is the sum of two
/// parts that do for 2^32 accumulators: of the low and of the high 32 bits of each square.
struct Moments {
  std::uint64_t count = 0;
  std::int64_t sum = 0;
  std::uint64_t squares_low = 0;   ///< sum of x^2 mod 2^32
  std::uint64_t squares_high = 0;  ///< sum of floor(x^2 / 2^32)

  void add(std::int32_t x) {
    const auto square = static_cast<std::uint64_t>(std::int64_t{x} * x);
    ++count;
    sum += x;
    squares_low += square & 0xffffffffu;
    squares_high += square >> 32;
  }
  Moments& operator+=(const Moments& other) {
    count += other.count;
    sum += other.sum;
    squares_low += other.squares_low;
    squares_high += other.squares_high;
    return *this;
  }
  bool operator==(const Moments&) const = default;
};
static_assert(std::is_trivially_copyable_v<Moments> && sizeof(Moments) == 32, "gathered as bytes between ranks");

}  // namespace triseg
