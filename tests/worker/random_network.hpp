// Quantized networks with random weights whose codes spread over the whole range, for tests and benchmarks.
#pragma once

#include "core/philox.hpp"
#include "worker/engine.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
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

inline Layer convolution(std::string name, int out, int kernel, int stride, int padding, int pool) {
  Layer layer;
  layer.name = std::move(name);
  layer.out_channels = out;
  layer.kernel = kernel;
  layer.stride = stride;
  layer.padding = padding;
  layer.pool = pool;
  return layer;
}

inline Layer fully_connected(std::string name, int out) {
  Layer layer;
  layer.name = std::move(name);
  layer.kind = LayerKind::fully_connected;
  layer.out_channels = out;
  return layer;
}

/// Chains the layers: sets their inputs, connects them, and makes the last one the logits.
inline Network chain(std::string name, int input_channels, int input_side, std::vector<Layer> layers,
                     std::vector<std::size_t> attention_layers) {
  Network n;
  n.name = n.display_name = std::move(name);
  n.input_channels = input_channels;
  n.input_side = input_side;
  n.classes = layers.back().out_channels;
  n.layers = std::move(layers);
  for (std::size_t l : attention_layers) n.default_attention.push_back(n.layers[l].name);
  n.layers.back().relu = false;
  int channels = input_channels, side = input_side;
  for (Layer& layer : n.layers) {
    if (layer.kind == LayerKind::fully_connected) {
      channels *= side * side;
      side = 1;
    }
    layer.in_channels = channels;
    channels = layer.out_channels;
    side = ((side + 2 * layer.padding - layer.kernel) / layer.stride + 1) / layer.pool;
  }
  connect(n);
  return n;
}

/// Weights -largest_weight..largest_weight, an input zero point that is not 0, and output scales that spread the codes.
inline QuantizedNetwork random_network(Network network, Scheme scheme, std::uint64_t seed, int largest_weight = 127) {
  Random random(seed);
  QuantizedNetwork n;
  n.network = std::move(network);
  n.scheme = scheme;
  n.data = "random";
  n.mean.assign(n.network.input_channels, 0.4);
  n.standard_deviation.assign(n.network.input_channels, 0.25);
  const double spread = activation_range(scheme) / 2.5;  // standard deviation of the codes before the ReLU
  CodeScale input{0.02, 57};
  double typical_code = 100;  // root mean square of q - z
  for (const Layer& shape : n.network.layers) {
    QuantizedLayer layer;
    layer.weights.resize(std::size_t(shape.out_channels) * shape.fan_in());
    for (auto& w : layer.weights) w = static_cast<std::int8_t>(random.integer(-largest_weight, largest_weight));
    const double deviation = std::sqrt(double(shape.fan_in())) * typical_code * largest_weight / std::sqrt(3.0);
    layer.weight_scale.assign(shape.out_channels, 0.003);
    if (scheme == Scheme::fbgemm)
      for (double& s : layer.weight_scale) s = random.real(0.002, 0.004);
    layer.input = input;
    layer.output = {input.scale * 0.003 * deviation / spread, shape.relu ? 0 : 128};
    for (int c = 0; c < shape.out_channels; ++c) {
      layer.requantization.bias.push_back(static_cast<std::int32_t>(random.real(-deviation, deviation)));
      layer.requantization.multiplier.push_back(
          static_cast<float>(input.scale * layer.weight_scale[c] / layer.output.scale));
    }
    input = layer.output;
    typical_code = spread;
    n.layers.push_back(std::move(layer));
  }
  check(n);
  return n;
}

/// The same with all its sites and the default attention layers.
inline Problem random_problem(Network network, Scheme scheme, std::uint64_t seed, int largest_weight = 127) {
  return make_problem(random_network(std::move(network), scheme, seed, largest_weight));
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

/// Gives every second layer, from layer `first`, a requantization that differs somewhat from the model's.
inline void replace_requantization(Student& student, const QuantizedNetwork& n, std::size_t first, std::uint64_t seed) {
  Random random(seed);
  student.requantization.assign(n.layers.size(), std::nullopt);
  for (std::size_t l = first; l < n.layers.size(); l += 2) {
    Requantization own = n.layers[l].requantization;
    for (float& m : own.multiplier) m *= static_cast<float>(random.real(0.7, 1.4));
    for (std::int32_t& b : own.bias) b += random.integer(-std::abs(b) / 2 - 3, std::abs(b) / 2 + 3);
    student.requantization[l] = std::move(own);
  }
}

}  // namespace triseg::testing
