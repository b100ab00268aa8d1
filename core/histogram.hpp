// Counts of 8-bit codes, and what the search derives from them.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace triseg {

struct Histogram {
  std::array<std::uint64_t, 256> counts{};

  void add(std::span<const std::uint8_t> codes);
  Histogram& operator+=(const Histogram& other);

  std::uint64_t total() const;
  /// Mean and (population) standard deviation of the codes, zeros included. 0 when empty.
  double mean() const;
  double standard_deviation() const;
  /// The smallest code at or below which at least `percent` % of the codes lie, or of the non-zero codes; 0 if there
  /// are none.
  int percentile(double percent) const;
  int nonzero_percentile(double percent) const;
};

}  // namespace triseg
