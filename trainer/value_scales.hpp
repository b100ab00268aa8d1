// Which values of a network in training have one scale, and whose ranges make it.
#pragma once

#include "network/quantized_network.hpp"

#include <span>
#include <vector>

namespace triseg {

/// The extremes of a value, as training observes them.
struct ObservedRange {
  float minimum = 0, maximum = 0;
};

/// A maximum has the scale of its input. A concatenation and its inputs share one scale, which holds all their ranges,
/// where all of them are behind a ReLU or none is and none is the image; else it has a range of its own, and its inputs
/// go through maps of codes. All others have the scale of their own range.
class ValueScales {
 public:
  explicit ValueScales(const Network& network);

  /// True for a node whose range is to be observed.
  bool has_range(std::size_t node) const { return has_range_[node]; }

  /// The scale of a node's value: zero point 0 where all of it is behind a ReLU, else affine. ranges: (nodes), of which
  /// those count that has_range() names. image: the scale of the image.
  CodeScale scale(std::size_t node, Scheme scheme, std::span<const ObservedRange> ranges, const CodeScale& image) const;

 private:
  /// Values of one scale.
  struct Set {
    bool holds_image = false, positive = false;
    std::vector<std::size_t> observed;  ///< numbers of nodes
  };

  void merge(std::size_t into, std::size_t other);

  std::vector<Set> sets_;
  std::vector<std::size_t> set_of_;  // (nodes)
  std::vector<bool> has_range_;      // (nodes)
};

}  // namespace triseg
