#include "learner/image_order.hpp"

#include "core/philox.hpp"

#include <numeric>
#include <utility>

namespace triseg {

std::vector<std::uint32_t> iteration_images(std::size_t total, std::size_t count, std::uint64_t seed,
                                            std::uint64_t iteration) {
  // A pass holds total / count whole iterations; the rest of the permutation is left out, so no image comes twice in
  // one.
  const std::uint64_t per_pass = total / count, pass = iteration / per_pass, piece = iteration % per_pass;
  std::vector<std::uint32_t> order(total);
  std::iota(order.begin(), order.end(), 0u);
  const std::size_t end = (piece + 1) * count;
  for (std::size_t i = 0; i < end; ++i) {  // Fisher-Yates, as far as it is needed
    const auto j = i + uniform_below(static_cast<std::uint32_t>(total - i), seed, Stream::image_order, pass,
                                     static_cast<std::uint32_t>(i));
    std::swap(order[i], order[j]);
  }
  return {order.begin() + static_cast<std::ptrdiff_t>(piece * count), order.begin() + static_cast<std::ptrdiff_t>(end)};
}

}  // namespace triseg
