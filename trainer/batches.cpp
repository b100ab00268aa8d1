#include "trainer/batches.hpp"

#include "core/philox.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <numeric>

namespace triseg {
namespace {

constexpr std::size_t piece_bytes = std::size_t{4} << 20;  // that statistics take at a time

/// out(y, x) = in(y - dy, x - dx), then mirrored if `flip`.
void move_plane(std::span<const std::uint8_t> in, std::span<std::uint8_t> out, const Shape& shape, int dy, int dx,
                bool flip) {
  std::fill(out.begin(), out.end(), std::uint8_t{0});
  if (std::abs(dx) >= shape.width) return;  // nothing of it is left
  for (int y = std::max(0, dy); y < std::min(shape.height, shape.height + dy); ++y) {
    const auto from = in.subspan((y - dy) * shape.width, shape.width);
    const auto to = out.subspan(y * shape.width, shape.width);
    std::copy(from.begin() + std::max(0, -dx), from.end() - std::max(0, dx), to.begin() + std::max(0, dx));
    if (flip) std::reverse(to.begin(), to.end());
  }
}

}  // namespace

void PixelSet::read(std::span<const std::uint32_t> indices, std::span<std::uint8_t> out) const {
  const std::size_t size = image_size();
  if (!images) {
    for (std::size_t i = 0; i < indices.size(); ++i) std::copy_n(&pixels[indices[i] * size], size, &out[i * size]);
    return;
  }
  std::vector<std::uint32_t> places(indices.begin(), indices.end());
  for (std::uint32_t& place : places) place += static_cast<std::uint32_t>(offset);
  fit_images(*network, *images, places, out);
}

void PixelSet::read(std::size_t first, std::size_t count, std::span<std::uint8_t> out) const {
  std::vector<std::uint32_t> indices(count);
  std::iota(indices.begin(), indices.end(), static_cast<std::uint32_t>(first));
  read(indices, out);
}

PixelSet lay_out(const Network& network, const DataSet& data, Split split, std::size_t held_bytes) {
  PixelSet set;
  set.shape = network.input;
  const Images& images = data.split_images(split);
  const std::size_t offset = data.split_offset(split), n = data.split_size(split), size = n * set.image_size();
  set.labels.assign(images.labels.begin() + offset, images.labels.begin() + offset + n);
  set.network = &network;
  set.images = &images;
  set.offset = offset;
  if (images.source || size > held_bytes) return set;
  std::vector<std::uint8_t> pixels(size);
  set.read(0, n, pixels);
  set.pixels = std::move(pixels);
  set.network = nullptr;
  set.images = nullptr;
  return set;
}

PixelStatistics pixel_statistics(const PixelSet& set) {
  const std::size_t plane = set.shape.positions(), channels = set.shape.channels, size = set.image_size();
  const std::size_t piece = std::max<std::size_t>(1, piece_bytes / size);
  std::vector<std::array<std::uint64_t, 256>> counts(channels);
  std::vector<std::uint8_t> pixels;
  for (std::size_t first = 0; first < set.size(); first += piece) {
    const std::size_t n = std::min(piece, set.size() - first);
    pixels.resize(n * size);
    set.read(first, n, pixels);
    for (std::size_t k = 0; k < n * channels; ++k)
      for (const std::uint8_t p : std::span(pixels).subspan(k * plane, plane)) ++counts[k % channels][p];
  }
  PixelStatistics statistics;
  for (std::size_t c = 0; c < channels; ++c) {
    double sum = 0, squares = 0;
    for (int p = 0; p < 256; ++p) {
      sum += double(counts[c][p]) * (p / 255.0);
      squares += double(counts[c][p]) * (p / 255.0) * (p / 255.0);
    }
    const double n = std::max(1.0, double(set.size() * plane)), mean = sum / n;
    const double deviation = std::sqrt(std::max(0.0, squares / n - mean * mean));
    statistics.mean.push_back(mean);
    statistics.standard_deviation.push_back(deviation > 1e-6 ? deviation : 1.0);
  }
  return statistics;
}

std::vector<std::uint32_t> epoch_order(std::uint64_t seed, int epoch, std::size_t n) {
  std::vector<std::uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  for (std::size_t i = n; i > 1; --i)
    std::swap(order[i - 1], order[uniform_below(i, seed, Stream::image_order, epoch, i, 0)]);
  return order;
}

std::vector<std::size_t> batch_sizes(std::size_t n, std::size_t batch, bool joins) {
  std::vector<std::size_t> sizes(n / batch, batch);
  const std::size_t rest = n % batch;
  if (rest == 1 && joins && !sizes.empty()) ++sizes.back();
  else if (rest > 0) sizes.push_back(rest);
  return sizes;
}

void training_batch(const PixelSet& set, std::span<const std::uint32_t> indices, const Augmentation& augmentation,
                    std::uint64_t seed, int epoch, std::span<std::uint8_t> pixels, std::span<std::uint16_t> labels) {
  const std::size_t plane = set.shape.positions(), size = set.image_size();
  std::vector<std::uint8_t> plain(indices.size() * size);
  set.read(indices, plain);
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const std::uint32_t image = indices[i];
    const auto draw = [&](std::uint32_t bound, std::uint32_t what) {
      return int(uniform_below(bound, seed, Stream::image_order, epoch, image, what));
    };
    const int dy = draw(2 * augmentation.shift + 1, 1) - augmentation.shift;
    const int dx = draw(2 * augmentation.shift + 1, 2) - augmentation.shift;
    const bool flip = augmentation.flip && draw(2, 3);
    for (int c = 0; c < set.shape.channels; ++c)
      move_plane(std::span(plain).subspan(i * size + c * plane, plane), pixels.subspan(i * size + c * plane, plane),
                 set.shape, dy, dx, flip);
    labels[i] = set.labels[image];
  }
}

}  // namespace triseg
