#include "core/codes.hpp"

#include "core/error.hpp"

#include <algorithm>
#include <numeric>

namespace triseg {

bool is_legal(const Codes& c) { return 1 <= c.t1 && c.t1 < c.v1 && c.v1 <= c.t2 && c.t2 < c.v2 && c.v2 <= c.tmax; }

Table staircase(const Codes& c) {
  Table table{};
  const auto at = [&](int code) { return table.begin() + code; };
  if (c.t1 <= c.t2 && c.t2 <= c.tmax) {
    std::fill(at(c.t1 + 1), at(c.t2 + 1), c.v1);
    std::fill(at(c.t2 + 1), at(c.tmax + 1), c.v2);
    std::iota(at(c.tmax + 1), table.end(), static_cast<std::uint8_t>(c.tmax + 1));
  }
  if (c.t1 > c.t2 || c.t2 > c.tmax || !std::is_sorted(table.begin(), table.end()))
    fail("the codes {} do not make a monotone staircase: expected t1 <= t2 <= tmax and v1 <= v2 <= tmax + 1",
         to_string(c));
  return table;
}

Table identity_table() {
  Table table{};
  for (int q = 0; q < 256; ++q) table[q] = static_cast<std::uint8_t>(q);
  return table;
}

std::string to_string(const Codes& c) {
  return fmt::format("t1={}, v1={}, t2={}, v2={}, tmax={}", c.t1, c.v1, c.t2, c.v2, c.tmax);
}

}  // namespace triseg
