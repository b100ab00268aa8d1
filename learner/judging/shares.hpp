// Shares of activations, by the histograms of calibration.
#pragma once

#include "learner/run_data.hpp"

#include <cstdint>
#include <span>

namespace triseg {

/// The activations that the histograms of all sites count.
std::uint64_t total_activations(std::span<const SiteData> sites);

/// The share of the activations that histograms (sites) count which lies above the tmax of codes (sites): what passes
/// through.
double passed_share(std::span<const Histogram> histograms, std::span<const Codes> codes);

/// The share of the sites' activations above tmax, by the histograms of calibration: what passes through.
double passed_share(std::span<const SiteData> sites, std::span<const Codes> codes);

}  // namespace triseg
