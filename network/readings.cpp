#include "network/readings.hpp"

#include <algorithm>
#include <map>
#include <utility>

namespace triseg {
namespace {

/// How a value's codes reach another one: by where its channels begin in it and whether they are other codes there
/// (not Reading::direct), the least Reading::averaged.
using Ways = std::map<std::pair<int, bool>, double>;

void add_way(Ways& ways, int channel, bool other_codes, double averaged) {
  const auto [way, is_new] = ways.try_emplace({channel, other_codes}, averaged);
  if (!is_new) way->second = std::min(way->second, averaged);
}

/// Adds what a node passes on of its input number `k`, which `before` lead to.
void pass_on(const Network& n, const Node& node, std::size_t k, const Ways& before, Ways& behind) {
  int channels_before = 0;
  for (std::size_t i = 0; i < k; ++i) channels_before += n.shape(node.inputs[i]).channels;
  for (const auto& [way, averaged] : before) {
    const auto [channel, other_codes] = way;
    switch (node.operation) {
      case Operation::maximum: add_way(behind, channel, other_codes, averaged); break;
      case Operation::concatenate: add_way(behind, channel + channels_before, other_codes, averaged); break;
      case Operation::average:
        add_way(behind, channel, true, averaged * double(node.window.height) * node.window.width);
        break;
      case Operation::add:
        if (n.shape(node.inputs[k]) == node.shape) add_way(behind, channel, true, averaged);
        break;
      default: break;
    }
  }
}

}  // namespace

std::vector<Reading> readings(const Network& n, std::size_t value, std::span<const std::size_t> stops) {
  std::map<int, Ways> reached;  // by value
  add_way(reached[static_cast<int>(value)], 0, false, 1);
  std::vector<Reading> found;
  for (std::size_t i = value + 1; i < n.nodes.size(); ++i) {
    const Node& node = n.nodes[i];
    Ways behind;
    for (std::size_t k = 0; k < node.inputs.size(); ++k) {
      const auto before = reached.find(node.inputs[k]);
      if (before == reached.end()) continue;
      if (node.operation != Operation::convolution) pass_on(n, node, k, before->second, behind);
      else
        for (const auto& [way, averaged] : before->second) found.push_back({i, way.first, !way.second, averaged});
    }
    if (!behind.empty() && std::find(stops.begin(), stops.end(), i) == stops.end())
      reached.emplace(static_cast<int>(i), std::move(behind));
  }
  return found;
}

}  // namespace triseg
