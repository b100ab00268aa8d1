#include "core/histogram.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace triseg {

void Histogram::add(std::span<const std::uint8_t> codes) {
  // Four tables, so that runs of equal codes (zeros, mostly) do not wait for each other's increments.
  std::array<std::array<std::uint32_t, 256>, 4> part{};
  constexpr std::size_t chunk = std::size_t{1} << 30;
  for (std::size_t start = 0; start < codes.size(); start += chunk) {
    const auto piece = codes.subspan(start, std::min(chunk, codes.size() - start));
    for (std::size_t i = 0; i < piece.size(); ++i) ++part[i % 4][piece[i]];
    for (auto& table : part) {
      for (int q = 0; q < 256; ++q) counts[q] += table[q];
      table.fill(0);
    }
  }
}

Histogram& Histogram::operator+=(const Histogram& other) {
  for (int q = 0; q < 256; ++q) counts[q] += other.counts[q];
  return *this;
}

std::uint64_t Histogram::total() const { return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}); }

double Histogram::mean() const {
  double sum = 0;
  for (int q = 0; q < 256; ++q) sum += double(q) * double(counts[q]);
  return total() == 0 ? 0.0 : sum / double(total());
}

double Histogram::standard_deviation() const {
  const double m = mean();
  double sum = 0;
  for (int q = 0; q < 256; ++q) sum += (q - m) * (q - m) * double(counts[q]);
  return total() == 0 ? 0.0 : std::sqrt(sum / double(total()));
}

int Histogram::percentile(double percent) const {
  std::uint64_t below = 0;
  for (int q = 0; q < 256; ++q) {
    below += counts[q];
    if (100.0 * double(below) >= percent * double(total())) return q;
  }
  return 255;
}

int Histogram::nonzero_percentile(double percent) const {
  Histogram nonzero = *this;
  nonzero.counts[0] = 0;
  if (nonzero.total() == 0) return 0;
  return std::max(nonzero.percentile(percent), 1);
}

}  // namespace triseg
