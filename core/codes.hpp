// START HERE. A site's integer codes and the staircase they stand for: the object that triseg searches.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <utility>

namespace triseg {

/// A 256-entry map of 8-bit activation codes, applied after requantization. Every table triseg runs is monotone,
/// so it commutes with max-pooling (docs/int8-contract.md).
using Table = std::array<std::uint8_t, 256>;

/// The integer codes of one site. With q an activation code (q = 0 is real zero), the staircase is
///
///     f(q) = 0   for q <= t1
///     f(q) = v1  for t1 < q <= t2
///     f(q) = v2  for t2 < q <= tmax
///     f(q) = q   for q > tmax
///
/// The search draws only legal codes: 1 <= t1 < v1 <= t2 < v2 <= tmax.
struct Codes {
  std::uint8_t t1 = 0;
  std::uint8_t v1 = 0;
  std::uint8_t t2 = 0;
  std::uint8_t v2 = 0;
  std::uint8_t tmax = 0;

  auto operator<=>(const Codes&) const = default;
};

/// The codes by name, in the one order that they have everywhere: in files, tables, command lines and messages. The
/// last axis of a `codes` dataset holds the first four.
inline constexpr std::array<std::pair<const char*, std::uint8_t Codes::*>, 5> code_members = {
    {{"t1", &Codes::t1}, {"v1", &Codes::v1}, {"t2", &Codes::t2}, {"v2", &Codes::v2}, {"tmax", &Codes::tmax}}};

/// The smallest tmax for which a legal draw exists (t1 = 1, v1 = t2 = 2, v2 = 3).
inline constexpr int smallest_tmax = 3;

/// True if 1 <= t1 < v1 <= t2 < v2 <= tmax.
bool is_legal(const Codes& codes);

/// The 256-entry table of the staircase. Codes from foreign files need not be legal, but their table must be monotone:
/// anything else throws Error naming the codes.
Table staircase(const Codes& codes);

/// f(q) = q: an exact site.
Table identity_table();

/// "t1=7, v1=14, t2=21, v2=28, tmax=35"
std::string to_string(const Codes& codes);

}  // namespace triseg
