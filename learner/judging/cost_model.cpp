#include "learner/judging/cost_model.hpp"

#include "core/error.hpp"
#include "core/reproducible.hpp"
#include "network/problem.hpp"
#include "network/readings.hpp"

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

/// Along one axis: pairs of an output position and one of the window whose input is no padding.
double taps(int in, int out, int window, int stride, int dilation, int before) {
  int count = 0;
  for (int o = 0; o < out; ++o)
    for (int k = 0; k < window; ++k) {
      const int at = o * stride + k * dilation - before;
      count += at >= 0 && at < in;
    }
  return count;
}

/// The same of the plane.
double taps(const Shape& in, const Node& node) {
  const Window& w = node.window;
  return taps(in.height, node.shape.height, w.height, w.stride_y, w.dilation_y, w.pad_top) *
         taps(in.width, node.shape.width, w.width, w.stride_x, w.dilation_x, w.pad_left);
}

/// Multiplications with so many of the input channels.
double multiplications_with(const Network& n, const Node& node, int channels) {
  return taps(n.input_shape(node), node) * double(channels) * double(node.shape.channels) / double(node.groups);
}

NodeEnergy& operator+=(NodeEnergy& a, const NodeEnergy& b) {
  a.exact += b.exact;
  a.exact_skipping += b.exact_skipping;
  a.staircase += b.staircase;
  return a;
}

double read_bit(const EnergyTable& table) { return table.sram_read64 / 64; }

/// Additions and multiplications of an average, addition or multiplication, and the reading of what it takes. read:
/// (nodes) shares of the site whose codes a value is, or null.
NodeEnergy elementwise_energy(const Network& n, const Node& node, std::span<const SiteShares* const> read,
                              const EnergyTable& table) {
  double work = 0;
  switch (node.operation) {
    case Operation::average: work = taps(n.input_shape(node), node) * node.shape.channels * table.add32; break;
    case Operation::add: work = node.shape.size() * table.add32; break;
    case Operation::multiply: work = node.shape.size() * table.multiply8; break;
    default: return {};
  }
  NodeEnergy energy{work, work, work};
  for (const int input : node.inputs) {
    const double exact = 8 * read_bit(table) * n.shape(input).size();
    energy += {exact, exact, input != image_value && read[input] ? read[input]->coded_bits / 8 * exact : exact};
  }
  return energy;
}

/// Activations of an image at all sites, and at those of the run.
double all_activations(const Network& n, std::span<const std::size_t> sites) {
  std::vector<std::size_t> nodes = select_sites(n, "all");
  nodes.insert(nodes.end(), sites.begin(), sites.end());
  std::sort(nodes.begin(), nodes.end());
  nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
  double sum = 0;
  for (const std::size_t i : nodes) sum += n.nodes[i].shape.size();
  return sum;
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

double multiplications(const Network& n, const Node& node) {
  return multiplications_with(n, node, n.input_shape(node).channels);
}

NodeEnergy convolution_energy(const Network& n, const Node& node, int channels, const SiteShares* shares,
                              double activations, const EnergyTable& table) {
  const Shape& in = n.input_shape(node);
  const double multiplications = multiplications_with(n, node, channels), full = table.multiply8 + table.add32,
               bit = read_bit(table);
  const double inputs = double(channels) * in.positions();
  const double weights =
      8 * bit * double(node.shape.channels) * (double(n.fan_in(node)) * double(channels) / double(in.channels));
  NodeEnergy energy;
  energy.exact = multiplications * full + 8 * bit * inputs + weights;
  energy.exact_skipping = energy.staircase = energy.exact;
  if (!shares) return energy;
  energy.exact_skipping = multiplications * (1 - shares->exact_zero) * full + 8 * bit * inputs + weights;
  energy.staircase = multiplications * ((shares->v1 + shares->v2) * table.add32 + shares->passed * full) +
                     double(node.shape.size()) * 2 * (table.multiply32 + table.add32) + activations * 3 * table.add8 +
                     shares->coded_bits * bit * inputs + weights;
  return energy;
}

NetworkCost network_cost(const Network& network, std::span<const SiteData> sites, std::span<const Codes> codes,
                         const EnergyTable& table) {
  const std::vector<std::size_t> nodes = site_nodes(network, sites);
  std::vector<const SiteShares*> values(network.nodes.size());  // of the site that a value is
  std::vector<int> exact_channels(network.nodes.size());        // of a convolution's input: those of no site
  for (std::size_t i = 0; i < network.nodes.size(); ++i)
    if (network.nodes[i].operation == Operation::convolution)
      exact_channels[i] = network.input_shape(network.nodes[i]).channels;
  NetworkCost cost;
  cost.sites.resize(sites.size());
  double covered = 0, site_activations = 0;
  for (std::size_t i = 0; i < sites.size(); ++i) {
    const Shape& shape = network.nodes[nodes[i]].shape;
    SiteCost& site = cost.sites[i];
    site.shares = site_shares(sites[i].histogram, codes[i]);
    site.activations = shape.size();
    values[nodes[i]] = &site.shares;
    double compared = site.activations;  // once, whoever reads it
    for (const Reading& reading : readings(network, nodes[i], nodes)) {
      if (!reading.direct) continue;
      const Node& reader = network.nodes[reading.node];
      site.multiplications += multiplications_with(network, reader, shape.channels);
      site.energy += convolution_energy(network, reader, shape.channels, &site.shares, compared, table);
      exact_channels[reading.node] -= shape.channels;
      compared = 0;
    }
    site.energy.staircase += compared * 3 * table.add8;
    site_activations += site.activations;
    covered += site.activations * (1 - site.shares.passed);
    cost.entropy_bits += site.activations * site.shares.entropy_bits;
    cost.coded_bits += site.activations * site.shares.coded_bits;
    cost.skipped += site.multiplications * site.shares.zero;
    cost.constant += site.multiplications * (site.shares.v1 + site.shares.v2);
    cost.energy += site.energy;
  }
  for (std::size_t i = 0; i < network.nodes.size(); ++i) {
    const Node& node = network.nodes[i];
    if (node.operation != Operation::convolution) {
      cost.energy += elementwise_energy(network, node, values, table);
      continue;
    }
    cost.multiplications += multiplications(network, node);
    if (exact_channels[i] > 0) cost.energy += convolution_energy(network, node, exact_channels[i], nullptr, 0, table);
  }
  cost.coverage = covered / all_activations(network, nodes);
  cost.entropy_bits /= site_activations;
  cost.coded_bits /= site_activations;
  if (cost.multiplications > 0) {
    cost.skipped /= cost.multiplications;
    cost.constant /= cost.multiplications;
  }
  return cost;
}

}  // namespace triseg
