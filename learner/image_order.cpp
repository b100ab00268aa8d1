#include "learner/image_order.hpp"

#include <numeric>
#include <utility>

namespace triseg {

ImageOrder::ImageOrder(std::size_t total, std::size_t count, std::uint64_t seed, Stream stream)
    : count_(count), seed_(seed), stream_(stream), order_(total) {
  std::iota(order_.begin(), order_.end(), 0u);
}

std::vector<std::uint32_t> ImageOrder::images(std::uint64_t iteration) {
  // A pass holds total / count whole iterations; the rest of the permutation is left out, so no image comes twice in
  // one.
  const std::size_t total = order_.size();
  const std::uint64_t per_pass = total / count_, pass = iteration / per_pass;
  const std::size_t begin = iteration % per_pass * count_, end = begin + count_;
  if (pass != pass_) {
    std::iota(order_.begin(), order_.end(), 0u);
    pass_ = pass;
    drawn_ = 0;
  }
  for (; drawn_ < end; ++drawn_) {  // Fisher-Yates, as far as it is needed
    const auto j = drawn_ + uniform_below(static_cast<std::uint32_t>(total - drawn_), seed_, stream_, pass,
                                          static_cast<std::uint32_t>(drawn_));
    std::swap(order_[drawn_], order_[j]);
  }
  return {order_.begin() + static_cast<std::ptrdiff_t>(begin), order_.begin() + static_cast<std::ptrdiff_t>(end)};
}

}  // namespace triseg
