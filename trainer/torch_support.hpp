// What the networks in training share of LibTorch. Its header takes half a minute to compile: for .cpp files of this
// folder alone.
#pragma once

#include "network/network.hpp"

#include <torch/torch.h>

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace triseg {

/// "auto", "cpu" or "cuda". Throws Error for another name and for a device that is not there. cuDNN is made
/// deterministic.
torch::Device choose_device(const std::string& name);

/// The values of a tensor, row-major.
std::vector<float> to_vector(const torch::Tensor& tensor);

/// What a pixel byte is to a network: [channel][pixel].
using PixelValues = std::vector<std::array<float, 256>>;

/// Pixels (N, channels, height, width) as values: (N, channels, height, width), channels last in memory, on the CPU.
torch::Tensor image_tensor(std::span<const std::uint8_t> pixels, const PixelValues& pixel_values, const Shape& shape);

}  // namespace triseg
