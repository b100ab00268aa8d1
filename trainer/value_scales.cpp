#include "trainer/value_scales.hpp"

#include "trainer/conversion.hpp"

#include <algorithm>

namespace triseg {

ValueScales::ValueScales(const Network& network) : sets_(1) {
  sets_[0].holds_image = true;
  const auto set_of = [&](int value) { return value == image_value ? std::size_t{0} : set_of_[value]; };
  for (std::size_t i = 0; i < network.nodes.size(); ++i) {
    const Node& node = network.nodes[i];
    const bool concatenates = node.operation == Operation::concatenate;
    bool all_positive = true, none_positive = true, image = false;
    for (const int input : node.inputs) {
      const Set& set = sets_[set_of(input)];
      (set.positive ? none_positive : all_positive) = false;
      image = image || set.holds_image;
    }
    const bool shares = concatenates && !image && (all_positive || (none_positive && !node.relu));
    if (node.operation == Operation::maximum || shares) {
      const std::size_t set = set_of(node.inputs.front());
      for (const int input : node.inputs) merge(set, set_of(input));
      set_of_.push_back(set);
      has_range_.push_back(false);
    } else {
      sets_.push_back({.positive = node.relu || (concatenates && all_positive && !image), .observed = {i}});
      set_of_.push_back(sets_.size() - 1);
      has_range_.push_back(true);
    }
  }
}

void ValueScales::merge(std::size_t into, std::size_t other) {
  if (into == other) return;
  sets_[into].observed.insert(sets_[into].observed.end(), sets_[other].observed.begin(), sets_[other].observed.end());
  std::replace(set_of_.begin(), set_of_.end(), other, into);
}

CodeScale ValueScales::scale(std::size_t node, Scheme scheme, std::span<const ObservedRange> ranges,
                             const CodeScale& image) const {
  const Set& set = sets_[set_of_[node]];
  if (set.holds_image) return image;
  ObservedRange whole = ranges[set.observed.front()];
  for (const std::size_t i : set.observed) {
    whole.minimum = std::min(whole.minimum, ranges[i].minimum);
    whole.maximum = std::max(whole.maximum, ranges[i].maximum);
  }
  return set.positive ? relu_scale(scheme, whole.maximum) : affine_scale(scheme, whole.minimum, whole.maximum);
}

}  // namespace triseg
