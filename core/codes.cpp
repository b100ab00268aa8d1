#include "core/codes.hpp"

#include "core/error.hpp"

#include <algorithm>
#include <numeric>

namespace triseg {

bool is_legal(const Codes& c) { return 1 <= c.t1 && c.t1 < c.v1 && c.v1 <= c.t2 && c.t2 < c.v2 && c.v2 <= c.tmax; }

Table staircase(const Codes& c) {
  // Levels that no code has may be anything.
  const bool v1_taken = c.t1 < c.t2, v2_taken = c.t2 < c.tmax, in_order = c.t1 <= c.t2 && c.t2 <= c.tmax;
  const bool levels_in_order =
      (!v1_taken || !v2_taken || c.v1 <= c.v2) &&
      (c.tmax == 255 || ((!v1_taken || c.v1 <= c.tmax + 1) && (!v2_taken || c.v2 <= c.tmax + 1)));
  if (!in_order || !levels_in_order)
    fail("the codes {} do not make a monotone staircase: expected t1 <= t2 <= tmax and v1 <= v2 <= tmax + 1",
         to_string(c));
  Table table = identity_table();
  const auto at = [&](int code) { return table.begin() + code; };
  std::fill(at(0), at(c.t1 + 1), 0);
  std::fill(at(c.t1 + 1), at(c.t2 + 1), c.v1);
  std::fill(at(c.t2 + 1), at(c.tmax + 1), c.v2);
  return table;
}

Table identity_table() {
  static const Table identity = [] {
    Table table{};
    std::iota(table.begin(), table.end(), std::uint8_t{0});
    return table;
  }();
  return identity;
}

std::string to_string(const Codes& c) {
  return fmt::format("t1={}, v1={}, t2={}, v2={}, tmax={}", c.t1, c.v1, c.t2, c.v2, c.tmax);
}

}  // namespace triseg
