// Legal draws: which codes a head may take, given the heads drawn before it.
#pragma once

#include "core/codes.hpp"
#include "learner/run_data.hpp"

#include <array>
#include <cstddef>
#include <span>
#include <utility>

namespace triseg {

/// What is drawn of a site, numbered as tensors and random keys are: in the order of drawing, but tmax, which is drawn
/// first and not always, has the last number, so that the others keep theirs.
enum class Head : std::size_t { t1, t2, v1, v2, tmax };

/// The heads in the order of drawing. Each draw leaves the later ones at least one legal code.
inline constexpr std::array<Head, 5> all_heads = {Head::tmax, Head::t1, Head::t2, Head::v1, Head::v2};

/// Those that are drawn: all, or all but tmax.
inline std::span<const Head> drawn_heads(bool tmax_searched) {
  return std::span(all_heads).subspan(tmax_searched ? 0 : 1);
}

/// The first and last legal code of a head, given the codes drawn before it: tmax in 3..255, t1 in 1..tmax-2, t2 in
/// t1+1..tmax-1, v1 in t1+1..t2, v2 in t2+1..tmax.
inline std::pair<int, int> legal_range(Head head, const Codes& c) {
  switch (head) {
    case Head::tmax: return {smallest_tmax, 255};
    case Head::t1: return {1, c.tmax - 2};
    case Head::t2: return {c.t1 + 1, c.tmax - 1};
    case Head::v1: return {c.t1 + 1, c.t2};
    case Head::v2: break;
  }
  return {c.t2 + 1, c.tmax};
}

/// The code that a head draws.
inline std::uint8_t& code_of(Codes& c, Head head) {
  std::uint8_t* const members[] = {&c.t1, &c.t2, &c.v1, &c.v2, &c.tmax};
  return *members[static_cast<std::size_t>(head)];
}
inline std::uint8_t code_of(const Codes& c, Head head) { return code_of(const_cast<Codes&>(c), head); }

/// A site's codes head by head in the order of drawing: pick(head, first, last) chooses from what is still legal.
template <class Pick>
Codes choose_codes(const SiteData& site, const Pick& pick) {
  Codes codes;
  codes.tmax = static_cast<std::uint8_t>(site.tmax);
  for (Head head : drawn_heads(site.tmax_searched)) {
    const auto [first, last] = legal_range(head, codes);
    code_of(codes, head) = static_cast<std::uint8_t>(pick(head, first, last));
  }
  return codes;
}

/// The largest tmax that draws of a site can have.
inline int largest_tmax(const SiteData& site) { return site.tmax_searched ? 255 : site.tmax; }

}  // namespace triseg
