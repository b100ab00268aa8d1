#include "learner/judging/repair.hpp"

#include "core/error.hpp"
#include "learner/checkpoint.hpp"

#include <algorithm>
#include <cmath>

namespace triseg {
namespace {

__extension__ using Wide = unsigned __int128;

/// Mean and deviation of a channel's sums, bias not included.
struct Distribution {
  double mean = 0, deviation = 0;
};

/// The variance is count * squares - sum^2 over count^2, the numerator exact in 128 bits for 2^32 accumulators.
Distribution distribution(const Moments& m) {
  if (m.count == 0) fail("repair: no accumulators were measured");
  const Wide squares = (Wide{m.squares_high} << 32) + m.squares_low;
  const Wide sum = m.sum < 0 ? Wide(0) - Wide(m.sum) : Wide(m.sum);
  const auto count = static_cast<double>(m.count);
  return {static_cast<double>(m.sum) / count, std::sqrt(static_cast<double>(m.count * squares - sum * sum)) / count};
}

/// A convolution of a model.
struct Convolution {
  const QuantizedNetwork& model;
  std::size_t node;

  const Requantization& own() const { return model.nodes[node].requantization; }
};

std::int32_t rounded_bias(double bias, const Convolution& convolution, std::size_t channel) {
  const std::int64_t fits = largest_bias(convolution.model, convolution.node, channel);
  const auto most = static_cast<double>(std::min(std::int64_t{1} << 30, fits));
  return static_cast<std::int32_t>(std::clamp(std::nearbyint(bias), -most, most));
}

/// sigma_t / sigma_s; 1 where one is 0.
double ratio_of(double teacher, double student) { return teacher > 0 && student > 0 ? teacher / student : 1.0; }

Requantization fit_channels(const Convolution& convolution, std::span<const Distribution> teacher,
                            std::span<const Distribution> student) {
  const Requantization& own = convolution.own();
  Requantization fitted = own;
  for (std::size_t c = 0; c < own.bias.size(); ++c) {
    const double ratio = ratio_of(teacher[c].deviation, student[c].deviation);
    fitted.multiplier[c] = static_cast<float>(own.multiplier[c] * ratio);
    // bias - mu_s is less the mean without bias.
    fitted.bias[c] = rounded_bias((teacher[c].mean + own.bias[c]) / ratio - student[c].mean, convolution, c);
  }
  return fitted;
}

/// Distribution of the outputs of all channels together, in codes.
Distribution pooled(const Requantization& own, std::span<const Distribution> channels) {
  Distribution all;
  const auto count = static_cast<double>(channels.size());
  const auto mean_of = [&](std::size_t c) { return own.multiplier[c] * (channels[c].mean + own.bias[c]); };
  for (std::size_t c = 0; c < channels.size(); ++c) all.mean += mean_of(c) / count;
  double variance = 0;
  for (std::size_t c = 0; c < channels.size(); ++c) {
    const double within = own.multiplier[c] * channels[c].deviation, between = mean_of(c) - all.mean;
    variance += (within * within + between * between) / count;
  }
  all.deviation = std::sqrt(variance);
  return all;
}

Requantization fit_layer(const Convolution& convolution, std::span<const Distribution> teacher,
                         std::span<const Distribution> student) {
  const Requantization& own = convolution.own();
  Requantization fitted = own;
  const Distribution t = pooled(own, teacher), s = pooled(own, student);
  const double ratio = ratio_of(t.deviation, s.deviation), shift = t.mean / ratio - s.mean;
  for (std::size_t c = 0; c < own.bias.size(); ++c) {
    fitted.multiplier[c] = static_cast<float>(own.multiplier[c] * ratio);
    fitted.bias[c] = rounded_bias(own.bias[c] + shift / own.multiplier[c], convolution, c);
  }
  return fitted;
}

constexpr const char* multiplier_name = "repair/multiplier";
constexpr const char* bias_name = "repair/bias";

/// By node: whether a site's value reaches it.
std::vector<bool> behind_sites(const Network& n, std::span<const std::size_t> sites) {
  std::vector<bool> is_site(n.nodes.size()), behind(n.nodes.size());
  for (const std::size_t site : sites) is_site.at(site) = true;
  for (std::size_t i = 0; i < n.nodes.size(); ++i)
    for (const int input : n.nodes[i].inputs)
      if (input != image_value && (is_site[input] || behind[input])) behind[i] = true;
  return behind;
}

std::size_t repaired_channels(const Problem& problem) {
  std::size_t sum = 0;
  for (std::size_t l : repaired_nodes(problem.network(), problem.sites))
    sum += problem.network().nodes[l].shape.channels;
  return sum;
}

}  // namespace

RepairMode parse_repair_mode(std::string_view name) {
  for (const auto& [known, mode] : repair_modes)
    if (known == name) return mode;
  fail("unknown repair '{}': expected none, layer or channel", name);
}

std::vector<std::size_t> repaired_nodes(const Network& n, std::span<const std::size_t> sites) {
  std::vector<std::size_t> nodes;
  const std::vector<bool> behind = behind_sites(n, sites);
  for (std::size_t i = 0; i < n.nodes.size(); ++i)
    if (behind[i] && n.nodes[i].operation == Operation::convolution) nodes.push_back(i);
  return nodes;
}

std::size_t repair_depth(const Network& n, std::span<const std::size_t> sites) {
  const std::vector<bool> behind = behind_sites(n, sites);
  std::vector<std::size_t> depth(n.nodes.size());  // repaired ones up to and with a node
  std::size_t most = 0;
  for (std::size_t i = 0; i < n.nodes.size(); ++i) {
    for (const int input : n.nodes[i].inputs)
      if (input != image_value) depth[i] = std::max(depth[i], depth[input]);
    depth[i] += behind[i] && n.nodes[i].operation == Operation::convolution;
    most = std::max(most, depth[i]);
  }
  return most;
}

Repair fit_repair(const Problem& problem, RepairMode mode, std::span<const Moments> teacher,
                  std::span<const Moments> student) {
  const QuantizedNetwork& model = problem.model;
  const std::vector<bool> behind = behind_sites(model.network, problem.sites);
  Repair repair(model.nodes.size());
  std::size_t at = 0;
  for (std::size_t i = 0; i < model.nodes.size(); ++i) {
    if (model.network.nodes[i].operation != Operation::convolution) continue;
    const Convolution convolution{model, i};
    const std::size_t channels = convolution.own().bias.size();
    std::vector<Distribution> t, s;
    for (std::size_t c = 0; c < channels && behind[i]; ++c) {
      t.push_back(distribution(teacher[at + c]));
      s.push_back(distribution(student[at + c]));
    }
    if (behind[i])
      repair[i] = mode == RepairMode::channel ? fit_channels(convolution, t, s) : fit_layer(convolution, t, s);
    at += channels;
  }
  check_repair(model, repair);
  return repair;
}

std::vector<LayerRepair> layer_repairs(const Network& network, const Repair& repair) {
  std::vector<LayerRepair> layers;
  for (std::size_t l = 0; l < repair.size(); ++l)
    if (repair[l]) layers.push_back({network.nodes[l].name, *repair[l]});
  return layers;
}

Repair repair_of(const Network& network, std::span<const LayerRepair> layers) {
  Repair repair(network.nodes.size());
  for (const LayerRepair& layer : layers) {
    const std::size_t l = node_index(network, layer.layer, "repair");
    if (network.nodes[l].operation != Operation::convolution)
      fail("repair: node {}: expected a convolution or fully connected layer, found a node of kind {}", layer.layer,
           kind_name(network, network.nodes[l]));
    const std::size_t channels = network.nodes[l].shape.channels;
    if (layer.requantization.multiplier.size() != channels || layer.requantization.bias.size() != channels)
      fail("repair: node {}: expected {} multipliers and biases", layer.layer, channels);
    repair[l] = layer.requantization;
  }
  return repair;
}

void check_one_factor(const QuantizedNetwork& model, const Repair& repair) {
  constexpr double rounding = 1e-5;  // of float32 multipliers, with room
  for (std::size_t l = 0; l < repair.size(); ++l) {
    if (!repair[l]) continue;
    const auto factor = [&](std::size_t c) {
      return double(repair[l]->multiplier[c]) / double(model.nodes[l].requantization.multiplier[c]);
    };
    for (std::size_t c = 0; c < repair[l]->multiplier.size(); ++c)
      if (std::abs(factor(c) / factor(0) - 1) > rounding)
        fail("repair: node {}: mode layer has one factor for all multipliers, found {:g} for channel 0 and {:g} for {}",
             model.network.nodes[l].name, factor(0), factor(c), c);
  }
}

void store_repair(Checkpoint& checkpoint, const Problem& problem, const Repair& repair) {
  const std::uint64_t channels = repaired_channels(problem);
  StoredTensor multiplier{{channels}, {}}, bias{{channels, 2}, {}};
  for (std::size_t l : repaired_nodes(problem.network(), problem.sites)) {
    const Requantization& layer = repair[l].value();
    multiplier.values.insert(multiplier.values.end(), layer.multiplier.begin(), layer.multiplier.end());
    for (std::int32_t b : layer.bias) bias.values.insert(bias.values.end(), {float(b >> 16), float(b & 0xffff)});
  }
  checkpoint.tensors[multiplier_name] = std::move(multiplier);
  checkpoint.tensors[bias_name] = std::move(bias);
}

std::optional<Repair> stored_repair(const Checkpoint& checkpoint, const Problem& problem) {
  if (!checkpoint.tensors.contains(multiplier_name)) return std::nullopt;
  const std::uint64_t channels = repaired_channels(problem);
  const std::vector<float> multiplier = stored_values(checkpoint, multiplier_name, {channels});
  const std::vector<float> bias = stored_values(checkpoint, bias_name, {channels, 2});
  Repair repair(problem.network().nodes.size());
  std::size_t at = 0;
  for (std::size_t l : repaired_nodes(problem.network(), problem.sites)) {
    Requantization& layer = repair[l].emplace();
    for (int c = 0; c < problem.network().nodes[l].shape.channels; ++c, ++at) {
      layer.multiplier.push_back(multiplier[at]);
      layer.bias.push_back(static_cast<std::int32_t>(bias[2 * at] * 65536.0 + bias[2 * at + 1]));
    }
  }
  return repair;
}

}  // namespace triseg
