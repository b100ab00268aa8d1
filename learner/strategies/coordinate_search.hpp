// Hill climbing, one code at a time.
#pragma once

#include "learner/strategies/strategy.hpp"

#include <memory>

namespace triseg {

/// Holds an incumbent, at first the start of every site. Each iteration scores the incumbent and its neighbours, one
/// code moved by one, on the same images (a part of them, in turn, if there are more than fit). The incumbent moves to
/// the neighbour whose gain, averaged over the iterations since the last move, is the highest above its standard error,
/// if that is positive.
std::unique_ptr<Strategy> make_coordinate_search(const std::vector<SiteData>& sites);

}  // namespace triseg
