#include "learner/judging/cost_model.hpp"

#include "core/error.hpp"
#include "core/reproducible.hpp"

#include <algorithm>

namespace triseg {
namespace {

double entropy_bits(const Histogram& histogram, const Table& table) {
  Histogram output;
  for (int q = 0; q < 256; ++q) output.counts[table[q]] += histogram.counts[q];
  const double total = double(output.total());
  double nats = 0;
  for (const std::uint64_t count : output.counts)
    if (count > 0) nats -= double(count) / total * reproducible_log(double(count) / total);
  return nats / reproducible_log(2.0);
}

double activations_made(const Layer& layer) { return double(layer.positions()) * layer.out_channels; }

/// Along one axis: pairs of an output position and a weight whose input is no padding.
double taps(const Layer& layer) {
  int count = 0;
  for (int out = 0; out < layer.out_side; ++out)
    for (int k = 0; k < layer.kernel; ++k) {
      const int in = out * layer.stride + k - layer.padding;
      count += in >= 0 && in < layer.in_side;
    }
  return count;
}

LayerEnergy& operator+=(LayerEnergy& a, const LayerEnergy& b) {
  a.exact += b.exact;
  a.exact_skipping += b.exact_skipping;
  a.staircase += b.staircase;
  return a;
}

}  // namespace

SiteShares site_shares(const Histogram& histogram, const Codes& codes) {
  if (histogram.total() == 0) fail("cost model: a site's histogram is empty");
  const double total = double(histogram.total());
  const auto share = [&](int first, int last) {
    std::uint64_t count = 0;
    for (int q = first; q <= last; ++q) count += histogram.counts[q];
    return double(count) / total;
  };
  SiteShares s;
  s.zero = share(0, codes.t1);
  s.v1 = share(codes.t1 + 1, codes.t2);
  s.v2 = share(codes.t2 + 1, codes.tmax);
  s.passed = share(codes.tmax + 1, 255);
  s.exact_zero = share(0, 0);
  s.entropy_bits = entropy_bits(histogram, staircase(codes));
  s.coded_bits = 2 + 8 * s.passed;
  return s;
}

double layer_multiplications(const Layer& layer) {
  return taps(layer) * taps(layer) * double(layer.in_channels) * double(layer.out_channels);
}

LayerEnergy layer_energy(const Layer& layer, const SiteShares* shares, double activations, const EnergyTable& table) {
  const double multiplications = layer_multiplications(layer), full = table.multiply8 + table.add32,
               bit = table.sram_read64 / 64;
  const double inputs = double(layer.in_channels) * layer.in_side * layer.in_side;
  const double weights = 8 * bit * double(layer.out_channels) * layer.fan_in();
  LayerEnergy energy;
  energy.exact = multiplications * full + 8 * bit * inputs + weights;
  energy.exact_skipping = energy.staircase = energy.exact;
  if (!shares) return energy;
  energy.exact_skipping = multiplications * (1 - shares->exact_zero) * full + 8 * bit * inputs + weights;
  energy.staircase = multiplications * ((shares->v1 + shares->v2) * table.add32 + shares->passed * full) +
                     activations_made(layer) * 2 * (table.multiply32 + table.add32) + activations * 3 * table.add8 +
                     shares->coded_bits * bit * inputs + weights;
  return energy;
}

NetworkCost network_cost(const Network& network, std::span<const SiteData> sites, std::span<const Codes> codes,
                         const EnergyTable& table) {
  std::vector<const SiteShares*> read(network.layers.size(), nullptr);  // by a layer: of the site before it
  NetworkCost cost;
  cost.sites.resize(sites.size());
  double all_activations = 0, covered = 0, site_activations = 0;
  for (const Layer& layer : network.layers) all_activations += layer.relu ? activations_made(layer) : 0;
  for (std::size_t i = 0; i < sites.size(); ++i) {
    const std::size_t at = layer_index(network, sites[i].name, "cost model");
    SiteCost& site = cost.sites[i];
    site.shares = site_shares(sites[i].histogram, codes[i]);
    site.activations = activations_made(network.layers[at]);
    site.multiplications = layer_multiplications(network.layers.at(at + 1));
    site.energy = layer_energy(network.layers.at(at + 1), &site.shares, site.activations, table);
    read.at(at + 1) = &site.shares;
    site_activations += site.activations;
    covered += site.activations * (1 - site.shares.passed);
    cost.entropy_bits += site.activations * site.shares.entropy_bits;
    cost.coded_bits += site.activations * site.shares.coded_bits;
    cost.skipped += site.multiplications * site.shares.zero;
    cost.constant += site.multiplications * (site.shares.v1 + site.shares.v2);
    cost.energy += site.energy;
  }
  for (std::size_t l = 0; l < network.layers.size(); ++l) {
    cost.multiplications += layer_multiplications(network.layers[l]);
    if (!read[l]) cost.energy += layer_energy(network.layers[l], nullptr, 0, table);
  }
  cost.coverage = covered / all_activations;
  cost.entropy_bits /= site_activations;
  cost.coded_bits /= site_activations;
  cost.skipped /= cost.multiplications;
  cost.constant /= cost.multiplications;
  return cost;
}

}  // namespace triseg
