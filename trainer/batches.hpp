// Training pixels in a network's input geometry, their order and their augmentation: pure functions of (seed, epoch).
#pragma once

#include "data/dataset.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace triseg {

/// One split, laid into the input geometry of a network by fit_image: in memory, or, where that is much, as it is read.
struct PixelSet {
  Shape shape;                        ///< of an image
  std::vector<std::uint8_t> pixels;   // (N, channels, height, width), or empty
  std::vector<std::uint16_t> labels;  // (N)
  const Network* network = nullptr;   ///< of an empty `pixels`, with the next two: where they come from
  const Images* images = nullptr;
  std::size_t offset = 0;  ///< of the first image in `images`

  std::size_t size() const { return labels.size(); }
  int image_size() const { return shape.size(); }
  /// Some images, in any order. out: (indices, channels, height, width). Throws Error where a file cannot be read.
  void read(std::span<const std::uint32_t> indices, std::span<std::uint8_t> out) const;
  /// The images first .. first + count - 1, likewise.
  void read(std::size_t first, std::size_t count, std::span<std::uint8_t> out) const;
};

/// Holds the pixels in memory if the data set does (Images::source) and they take at most `held_bytes`; else the set
/// refers to network and data, and takes a batch at a time.
PixelSet lay_out(const Network& network, const DataSet& data, Split split,
                 std::size_t held_bytes = std::size_t{256} << 20);

/// Mean and standard deviation of pixel / 255 per channel, over the whole laid-out images, padding included.
struct PixelStatistics {
  std::vector<double> mean, standard_deviation;  // (channels)
};
/// A constant channel has standard deviation 1.
PixelStatistics pixel_statistics(const PixelSet& set);

struct Augmentation {
  int shift = 2;     ///< each image moves by -shift..shift pixels in both directions; uncovered pixels are 0
  bool flip = true;  ///< left-right, for half of the images
};

/// The order in which an epoch visits n images.
std::vector<std::uint32_t> epoch_order(std::uint64_t seed, int epoch, std::size_t n);

/// The sizes of an epoch's batches of n images: `batch` each, and the rest; with `joins` a rest of one image, whose
/// statistics are none, belongs to the batch before it.
std::vector<std::size_t> batch_sizes(std::size_t n, std::size_t batch, bool joins);

/// Some images of the set, augmented as (seed, epoch, image) says. The last images of an epoch may make a smaller
/// batch. pixels: (indices, channels, height, width), labels: (indices).
void training_batch(const PixelSet& set, std::span<const std::uint32_t> indices, const Augmentation& augmentation,
                    std::uint64_t seed, int epoch, std::span<std::uint8_t> pixels, std::span<std::uint16_t> labels);

}  // namespace triseg
