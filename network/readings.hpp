// Which convolutions take up a value, and where in their inputs it lies.
#pragma once

#include "network/network.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace triseg {

/// A convolution that takes up a value's codes.
struct Reading {
  std::size_t node = 0;  ///< number of the convolution
  int channel = 0;       ///< where the value's channels begin in its input
  /// True if it takes the codes themselves, through pools of maxima and concatenations alone. Averages and additions
  /// in between make other codes, which errors of the value still reach.
  bool direct = true;
  double averaged = 1;  ///< codes that become one by averages in between, on the way that has the fewest
};

/// The readings of node `value`, in the order of their convolutions: through maximum, concatenate, average and add, and
/// no further than a node that is one of `stops`. Ways that lead to the same channels of a convolution are one reading,
/// two if one is direct and another is not. An operand that an addition repeats over a larger plane or more channels is
/// not followed.
std::vector<Reading> readings(const Network& network, std::size_t value, std::span<const std::size_t> stops);

}  // namespace triseg
