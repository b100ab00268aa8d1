// What staircases save: bits, multiplications and energy of an inference, from the histograms of calibration alone. The
// assumptions are in docs/cost-model.md.
#pragma once

#include "core/codes.hpp"
#include "core/histogram.hpp"
#include "network/network.hpp"
#include "learner/energy_table.hpp"
#include "learner/run_data.hpp"

#include <span>
#include <vector>

namespace triseg {

/// What becomes of a site's activations. Shares of them, before pooling.
struct SiteShares {
  double zero = 0;          ///< become 0
  double v1 = 0, v2 = 0;    ///< become one of the constants
  double passed = 0;        ///< stay what they are. The four sum to 1.
  double exact_zero = 0;    ///< are 0 without a staircase
  double entropy_bits = 0;  ///< entropy of the output codes [bits an activation]: what an ideal code would need
  double coded_bits = 0;    ///< 2 bits for 0, v1, v2 or an escape, which 8 bits follow [bits an activation]
};

/// Throws Error if the histogram is empty.
SiteShares site_shares(const Histogram& histogram, const Codes& codes);

/// Multiplications of one image's forward through a convolution. Exact: those with padding are none.
double multiplications(const Network& network, const Node& node);

/// Energy of a part of a forward [pJ an image].
///   exact           every multiplication in full: M (multiply8 + add32)
///   exact_skipping  the same on hardware that leaves out operands of 0
///   staircase       zeros left out, weights of v1 and v2 added up apart, passed ones in full; an output's two sums
///                   multiplied by v1 and v2 at the end; three comparisons an activation that is made
/// Beside that, all three read every input once (8 bits, or coded_bits) and every weight (8 bits) once.
struct NodeEnergy {
  double exact = 0, exact_skipping = 0, staircase = 0;
};

/// What a convolution does with `channels` of its input channels. `shares` are those of the site that they come from,
/// which makes `activations` of an image that are compared for it; null if they come from none, and all three figures
/// are the exact one.
NodeEnergy convolution_energy(const Network& network, const Node& node, int channels, const SiteShares* shares,
                              double activations, const EnergyTable& table);

struct SiteCost {
  SiteShares shares;
  double activations = 0;      ///< of an image, before pooling
  double multiplications = 0;  ///< of an image, by the convolutions that read the site
  NodeEnergy energy;           ///< of what they do with it
};

struct NetworkCost {
  std::vector<SiteCost> sites;  // (sites)
  /// Share of the activations at all sites, those that --sites all names, that a staircase replaces: not passed, not of
  /// a site left out.
  double coverage = 0;
  double entropy_bits = 0, coded_bits = 0;  ///< means over the activations of the sites
  double multiplications = 0;               ///< of an image, all convolutions
  double skipped = 0, constant = 0;  ///< shares of them whose operand becomes 0; v1 or v2. The rest are full ones.
  NodeEnergy energy;                 ///< of all nodes
};

/// Cost of the network with `codes` (sites) at `sites`; its other values stay exact. Throws Error if a site is no node
/// of it.
NetworkCost network_cost(const Network& network, std::span<const SiteData> sites, std::span<const Codes> codes,
                         const EnergyTable& table);

}  // namespace triseg
