// Every operation of docs/int8-contract.md as plain loops over one image: the page as code.
#pragma once

#include "network/quantized_network.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace triseg {

/// q of n for a multiplier: clamp(rint(float32(n) * multiplier) + zero_point, lowest, highest).
std::uint8_t requantize(std::int32_t n, float multiplier, int zero_point, int lowest, int highest);

/// q of the sum of two entries of add_table().
std::uint8_t round_sum(std::int32_t sum, int lowest, int highest);

/// A node at some positions of one image.
struct ReferenceOutput {
  std::vector<std::int32_t> accumulators;  // (positions, channels), bias included; convolutions only
  std::vector<std::uint8_t> codes;         // (positions, channels), before the staircase
};

/// inputs: (inputs of the node), each one image's codes (channels, height, width). used: what a convolution requantizes
/// with. positions: y * width + x, within the node's value.
ReferenceOutput reference_node(const QuantizedNetwork& network, std::size_t node,
                               std::span<const std::span<const std::uint8_t>> inputs, const Requantization& used,
                               std::span<const int> positions);

/// The share of a network's positions that a self-test compares with the reference, which takes a fraction of a second.
double self_test_share(const Network& network);

/// Numbers of `count` things of which at most `most` (at least 4) are wanted: 0 .. count - 1, or so many of them,
/// evenly spread, the first and the last among them.
std::vector<int> some_of(int count, int most);

}  // namespace triseg
