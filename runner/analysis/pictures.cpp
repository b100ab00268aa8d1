#include "runner/analysis/pictures.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

namespace triseg {

std::string histogram_picture(const Histogram& histogram, int codes, int columns) {
  constexpr std::array bars = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  std::vector<std::uint64_t> fullest(columns, 0);
  for (int q = 0; q < codes; ++q) {
    std::uint64_t& column = fullest[q * columns / codes];
    column = std::max(column, histogram.counts[q]);
  }
  const double highest = std::log1p(double(*std::max_element(fullest.begin(), fullest.end())));
  std::string picture;
  for (const std::uint64_t count : fullest)
    picture += bars[count == 0 ? 0 : std::max(1, int(std::lround(8 * std::log1p(double(count)) / highest)))];
  return picture;
}

std::string staircase_picture(const Codes& c, int codes, int columns) {
  std::string picture;
  for (int column = 0; column < columns; ++column) {
    const int q = (column * codes + columns - 1) / columns;
    picture += q <= c.t1 ? '0' : q <= c.t2 ? '1' : q <= c.tmax ? '2' : '/';
  }
  return picture;
}

}  // namespace triseg
