// Which images an iteration sees.
#pragma once

#include "core/philox.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace triseg {

/// The `count` images of 0..total-1 that an iteration draws: consecutive pieces of a permutation of all images, a fresh
/// permutation for each pass; a function of (seed, iteration) alone. A pass is drawn as far as it was asked for: an
/// iteration after another costs `count` draws.
class ImageOrder {
 public:
  /// 0 < count <= total. stream: another one is another order.
  ImageOrder(std::size_t total, std::size_t count, std::uint64_t seed, Stream stream = Stream::image_order);

  /// (count)
  std::vector<std::uint32_t> images(std::uint64_t iteration);

 private:
  std::size_t count_;
  std::uint64_t seed_, pass_ = 0;
  Stream stream_;
  std::vector<std::uint32_t> order_;  // (total): of the pass, as far as `drawn_`
  std::size_t drawn_ = 0;
};

}  // namespace triseg
