// Students that let a given share of activations pass.
#pragma once

#include "learner/run_data.hpp"

#include <array>
#include <cstdint>
#include <vector>

namespace triseg {

/// A share of the sites' activations that may pass, which every student is brought to by its tmax.
class PassTarget {
 public:
  /// pass_share: in [0, 1]. sites: with their histograms.
  PassTarget(const std::vector<SiteData>& sites, double pass_share);

  /// False if no activation of the histograms may pass.
  bool lets_pass() const { return may_pass_ > 0; }

  /// Moves tmax of all sites by the same number of codes, up or down, within 3..255: the least of all moves under which
  /// no more than the share passes. If nothing may pass, every tmax is 255. Other codes that are not legal any more
  /// move to the nearest that are.
  std::vector<Codes> meet(std::vector<Codes> codes) const;

 private:
  std::uint64_t may_pass_;                             ///< of the histograms' counts
  std::vector<std::array<std::uint64_t, 256>> above_;  ///< (sites)(tmax): counts of codes above it
};

}  // namespace triseg
