// Quantized networks with random weights whose codes spread over the whole range, for tests and benchmarks.
#pragma once

#include "core/philox.hpp"
#include "network/chain.hpp"
#include "worker/engine.hpp"
#include "worker/reference_operations.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <span>
#include <string>
#include <vector>

namespace triseg::testing {

/// Seeded random numbers in a sequence.
class Random {
 public:
  explicit Random(std::uint64_t seed) : seed_(seed) {}
  /// Uniform in low..high.
  int integer(int low, int high) {
    const auto bound = static_cast<std::uint32_t>(high - low + 1);
    return low + static_cast<int>(uniform_below(bound, seed_, Stream::self_test, count_++));
  }
  /// Uniform in [low, high).
  double real(double low, double high) { return low + (high - low) * uniform(seed_, Stream::self_test, count_++); }

 private:
  std::uint64_t seed_, count_ = 0;
};

inline ChainLayer convolution(std::string name, int out, int kernel, int stride, int padding, int pool) {
  ChainLayer layer;
  layer.name = std::move(name);
  layer.out_channels = out;
  layer.kernel = kernel;
  layer.stride = stride;
  layer.padding = padding;
  layer.pool = pool;
  return layer;
}

inline ChainLayer fully_connected(std::string name, int out) {
  ChainLayer layer;
  layer.name = std::move(name);
  layer.fully_connected = true;
  layer.out_channels = out;
  return layer;
}

/// Chains the layers: sets their inputs, connects them, and makes the last one the logits.
inline Network chain(std::string name, int input_channels, int input_side, std::vector<ChainLayer> layers,
                     std::vector<std::size_t> attention_layers) {
  Network n;
  n.name = n.display_name = std::move(name);
  n.input = {input_channels, input_side, input_side};
  n.classes = layers.back().out_channels;
  for (std::size_t l : attention_layers) n.default_attention.push_back(layers[l].name);
  layers.back().relu = false;
  for (ChainLayer& layer : layers) {
    const Shape& before = n.nodes.empty() ? n.input : n.nodes.back().shape;
    layer.in_channels = layer.fully_connected ? before.size() : before.channels;
    append_layer(n, layer);
  }
  connect(n);
  return n;
}

/// One image of a node's value, (channels, height, width), from those of the nodes before it.
inline std::vector<std::uint8_t> reference_value(const QuantizedNetwork& n, std::size_t node,
                                                 const std::vector<std::uint8_t>& image,
                                                 const std::vector<std::vector<std::uint8_t>>& values) {
  const Shape& shape = n.network.nodes[node].shape;
  std::vector<std::span<const std::uint8_t>> inputs;
  for (const int input : n.network.nodes[node].inputs) inputs.push_back(input == image_value ? image : values[input]);
  std::vector<int> positions(shape.positions());
  std::iota(positions.begin(), positions.end(), 0);
  const auto codes = reference_node(n, node, inputs, n.nodes[node].requantization, positions).codes;
  std::vector<std::uint8_t> planes(codes.size());
  for (std::size_t i = 0; i < codes.size(); ++i)
    planes[i % shape.channels * positions.size() + i / shape.channels] = codes[i];
  return planes;
}

/// What random_network() draws besides weights.
struct RandomNumbers {
  int largest_weight = 127;
  bool varied = false;  ///< zero points and top codes that differ between nodes
};

/// Weights -largest_weight..largest_weight, an input zero point that is not 0, and output scales that spread the codes.
inline QuantizedNetwork random_network(Network network, Scheme scheme, std::uint64_t seed, RandomNumbers numbers = {}) {
  Random random(seed);
  QuantizedNetwork n;
  n.network = std::move(network);
  n.scheme = scheme;
  n.data = "random";
  n.mean.assign(n.network.input.channels, 0.4);
  n.standard_deviation.assign(n.network.input.channels, 0.25);
  n.input = {0.02, 57};
  n.nodes.resize(n.network.nodes.size());
  const double spread = activation_range(scheme) / 2.5;  // standard deviation of the codes before the ReLU
  // Root mean square of q - z: measured on a random image, for a chain that of a normal distribution.
  const bool is_chain = std::all_of(n.network.nodes.begin(), n.network.nodes.end(), [](const Node& node) {
    return node.operation == Operation::convolution || node.operation == Operation::maximum;
  });
  std::vector<std::vector<std::uint8_t>> values(n.nodes.size());
  std::vector<std::uint8_t> image(is_chain ? 0 : n.network.input.size());
  for (auto& q : image) q = static_cast<std::uint8_t>(random.integer(0, 255));
  const auto typical = [&](int value) {
    if (is_chain) return value == image_value ? 100 : spread;
    double sum = 0;
    for (const int q : value == image_value ? image : values[value]) {
      const double x = q - n.scale(value).zero_point;
      sum += x * x;
    }
    return std::max(1.0, std::sqrt(sum / n.network.shape(value).size()));
  };
  for (std::size_t i = 0; i < n.nodes.size(); ++i) {
    const Node& shape = n.network.nodes[i];
    QuantizedNode& node = n.nodes[i];
    const CodeScale first = shape.inputs.empty() ? n.input : n.input_scale(i);
    const CodeScale second = shape.inputs.size() < 2 ? first : n.scale(shape.inputs[1]);
    node.output = {first.scale, shape.relu ? 0 : numbers.varied ? random.integer(60, 180) : 128};
    if (numbers.varied && random.integer(0, 2) == 0) node.highest = random.integer(shape.relu ? 120 : 200, 254);
    const auto draw = [&](auto& codes) {
      for (auto& q : codes) q = static_cast<std::uint8_t>(random.integer(node.lowest, node.highest));
    };
    switch (shape.operation) {
      case Operation::convolution: {
        node.weights.resize(std::size_t(shape.shape.channels) * n.network.fan_in(shape));
        for (auto& w : node.weights)
          w = static_cast<std::int8_t>(random.integer(-numbers.largest_weight, numbers.largest_weight));
        const double deviation = std::sqrt(double(n.network.fan_in(shape))) * typical(shape.inputs[0]) *
                                 numbers.largest_weight / std::sqrt(3.0);
        node.weight_scale.assign(shape.shape.channels, 0.003);
        if (scheme == Scheme::fbgemm)
          for (double& s : node.weight_scale) s = random.real(0.002, 0.004);
        node.output.scale = first.scale * 0.003 * deviation / spread;
        for (int c = 0; c < shape.shape.channels; ++c) {
          node.requantization.bias.push_back(static_cast<std::int32_t>(random.real(-deviation, deviation)));
          node.requantization.multiplier.push_back(
              static_cast<float>(first.scale * node.weight_scale[c] / node.output.scale));
        }
        break;
      }
      case Operation::average: node.output.scale *= 0.6; break;
      case Operation::maximum:
        node.output = first;
        node.highest = 255;
        break;
      case Operation::add: node.output.scale = std::hypot(first.scale, second.scale); break;
      case Operation::multiply: node.output.scale *= second.scale * typical(shape.inputs[1]); break;
      case Operation::concatenate: {
        bool same = true;
        for (const int input : shape.inputs) same = same && n.scale(input) == first;
        if (same && !(shape.relu && first.zero_point != 0)) {
          node.output = first;
          node.highest = 255;
          break;
        }
        for (const int input : shape.inputs) {
          CodeMap& map = node.maps.emplace_back();
          for (int q = 0; q < 256; ++q)
            map[q] = static_cast<std::uint8_t>(std::clamp<double>(
                std::nearbyint((q - n.scale(input).zero_point) * n.scale(input).scale / node.output.scale) +
                    node.output.zero_point,
                node.lowest, node.highest));
        }
        break;
      }
      case Operation::table: draw(node.maps.emplace_back()); break;
      case Operation::constant:
        node.output.scale = 0.02;
        node.codes.resize(shape.shape.size());
        draw(node.codes);
        break;
    }
    if (!is_chain) values[i] = reference_value(n, i, image, values);
  }
  check(n);
  return n;
}

/// The same with all its sites and the default attention layers.
inline Problem random_problem(Network network, Scheme scheme, std::uint64_t seed, RandomNumbers numbers = {}) {
  return make_problem(random_network(std::move(network), scheme, seed, numbers));
}

inline std::vector<std::uint8_t> random_codes(std::size_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<std::uint8_t> codes(count);
  for (auto& q : codes) q = static_cast<std::uint8_t>(random.integer(0, 255));
  return codes;
}

/// Legal codes at every site, tmax up to 200.
inline Student random_student(const Problem& problem, std::uint64_t seed) {
  Random random(seed);
  std::vector<Codes> codes;
  for (std::size_t site = 0; site < problem.sites.size(); ++site) {
    const int tmax = random.integer(15, 200);
    const int v2 = random.integer(3, tmax), t2 = random.integer(2, v2 - 1), v1 = random.integer(2, t2);
    const int t1 = random.integer(1, v1 - 1);
    const auto code = [](int q) { return static_cast<std::uint8_t>(q); };
    codes.push_back({code(t1), code(v1), code(t2), code(v2), code(tmax)});
  }
  return student(problem, codes);
}

/// Gives every second convolution, from number `first`, a requantization that differs somewhat from the model's.
inline void replace_requantization(Student& student, const QuantizedNetwork& n, std::size_t first, std::uint64_t seed) {
  Random random(seed);
  student.requantization.assign(n.nodes.size(), std::nullopt);
  std::size_t convolutions = 0;
  for (std::size_t i = 0; i < n.nodes.size(); ++i) {
    if (n.network.nodes[i].operation != Operation::convolution) continue;
    const std::size_t number = convolutions++;
    if (number < first || (number - first) % 2 != 0) continue;
    Requantization own = n.nodes[i].requantization;
    for (float& m : own.multiplier) m *= static_cast<float>(random.real(0.7, 1.4));
    for (std::int32_t& b : own.bias) b += random.integer(-std::abs(b) / 2 - 3, std::abs(b) / 2 + 3);
    student.requantization[i] = std::move(own);
  }
}

}  // namespace triseg::testing
