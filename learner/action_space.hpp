// Legal draws: which codes a head may take, given the heads drawn before it.
#pragma once

#include "core/codes.hpp"

#include <array>
#include <cstddef>
#include <utility>

namespace triseg {

/// The heads in the order of drawing. Each draw leaves the later ones at least one legal code.
enum class Head : std::size_t { t1, t2, v1, v2 };
inline constexpr std::array<Head, 4> heads = {Head::t1, Head::t2, Head::v1, Head::v2};

/// The first and last legal code of a head, given the codes drawn before it and tmax:
/// t1 in 1..tmax-2, t2 in t1+1..tmax-1, v1 in t1+1..t2, v2 in t2+1..tmax.
inline std::pair<int, int> legal_range(Head head, const Codes& c) {
  switch (head) {
    case Head::t1: return {1, c.tmax - 2};
    case Head::t2: return {c.t1 + 1, c.tmax - 1};
    case Head::v1: return {c.t1 + 1, c.t2};
    case Head::v2: break;
  }
  return {c.t2 + 1, c.tmax};
}

/// The code that a head draws.
inline std::uint8_t& code_of(Codes& c, Head head) {
  std::uint8_t* const members[] = {&c.t1, &c.t2, &c.v1, &c.v2};
  return *members[static_cast<std::size_t>(head)];
}
inline std::uint8_t code_of(const Codes& c, Head head) { return code_of(const_cast<Codes&>(c), head); }

/// Codes head by head in the order of drawing: pick(head, first, last) chooses from what is still legal.
template <class Pick>
Codes choose_codes(int tmax, const Pick& pick) {
  Codes codes;
  codes.tmax = static_cast<std::uint8_t>(tmax);
  for (Head head : heads) {
    const auto [first, last] = legal_range(head, codes);
    code_of(codes, head) = static_cast<std::uint8_t>(pick(head, first, last));
  }
  return codes;
}

}  // namespace triseg
