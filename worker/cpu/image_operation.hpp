// How the CPU engine keeps codes, and the operations that are no convolutions, one image at a time.
#pragma once

#include "network/quantized_network.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

namespace triseg {

/// One image of a value is (height, width, lanes), channels in the first lanes. The lanes past the channels of a
/// position hold one and the same code, which means nothing.
struct CodeLayout {
  int channels = 0;
  int height = 1, width = 1;
  int lanes = 0;

  int positions() const { return height * width; }
  std::size_t size() const { return std::size_t(positions()) * lanes; }
};

/// Lanes are a multiple of 8; of 4 for an image that only convolutions of one group read.
CodeLayout layout_of(const Network& network, int value);

/// Computes the codes of one image in front of the staircase. inputs: (inputs of the node), one image each; out: the
/// layout of the node's value. Not thread-safe.
using ImageOperation = std::function<void(std::span<const std::uint8_t* const> inputs, std::uint8_t* out)>;

/// `network` must outlive it.
ImageOperation make_image_operation(const QuantizedNetwork& network, std::size_t node);

/// The maximum over a window, of a value of this layout.
ImageOperation make_maximum(const CodeLayout& input, const CodeLayout& output, const Window& window);

}  // namespace triseg
