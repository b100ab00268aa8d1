#include "core/philox.hpp"
#include "data/dataset_readers.hpp"

#include <algorithm>
#include <cmath>

namespace triseg {
namespace {

/// Draws shape `kind` with unit coordinates (x, y) in its own frame: true where the pixel is lit.
bool lit(int kind, float x, float y) {
  const float ax = std::abs(x), ay = std::abs(y), r = std::sqrt(x * x + y * y);
  switch (kind) {
    case 0: return r < 1.0f;                                                 // disc
    case 1: return r < 1.0f && r > 0.6f;                                     // ring
    case 2: return ax < 0.85f && ay < 0.85f;                                 // square
    case 3: return std::max(ax, ay) < 0.9f && std::max(ax, ay) > 0.5f;       // frame
    case 4: return y < 0.8f && y > -0.9f && ax < (y + 0.9f) * 0.55f;         // triangle
    case 5: return std::min(ax, ay) < 0.28f && std::max(ax, ay) < 1.0f;      // plus
    case 6: return std::abs(ax - ay) < 0.33f && std::max(ax, ay) < 0.95f;    // cross
    case 7: return ax < 0.95f && (ay < 0.2f || (ay > 0.55f && ay < 0.95f));  // three bars lying
    case 8: return ay < 0.95f && (ax < 0.2f || (ax > 0.55f && ax < 0.95f));  // three bars standing
    default: return ax + ay < 1.0f;                                          // diamond
  }
}

Images draw_shapes(std::size_t count, std::uint32_t part) {
  constexpr std::uint64_t seed = 20240229;
  constexpr int side = 28;
  Images images{1, side, side, {}, {}};
  images.labels.resize(count);
  images.pixels.resize(count * side * side);
  for (std::size_t i = 0; i < count; ++i) {
    const auto draw = [&](std::uint32_t what) {
      return static_cast<float>(uniform(seed, Stream::shapes, i, part, what));
    };
    const int kind = static_cast<int>(i % 10);
    images.labels[i] = static_cast<std::uint16_t>(kind);
    const float radius = 5.0f + 6.0f * draw(0), h = 0.25f * (draw(1) - 0.5f);
    const float cx = 14.0f + 5.0f * (draw(2) - 0.5f), cy = 14.0f + 5.0f * (draw(3) - 0.5f);
    const float ground = 70.0f * draw(4), light = ground + 60.0f + 110.0f * draw(5), noise = 20.0f + 60.0f * draw(6);
    // A rotation by 2 atan(h), at most a quarter radian, in operations that every machine rounds alike.
    const float cosine = (1 - h * h) / (1 + h * h), sine = 2 * h / (1 + h * h);
    for (int y = 0; y < side; ++y) {
      for (int x = 0; x < side; ++x) {
        const float dx = (float(x) - cx) / radius, dy = (float(y) - cy) / radius;
        const bool on = lit(kind, cosine * dx + sine * dy, cosine * dy - sine * dx);
        const float value = (on ? light : ground) + noise * (draw(16 + y * side + x) - 0.5f);
        images.pixels[(i * side + y) * side + x] = static_cast<std::uint8_t>(std::clamp(value, 0.0f, 255.0f));
      }
    }
  }
  return images;
}

}  // namespace

DataSet make_shapes() {
  DataSet data;
  data.train = draw_shapes(12000, 0);
  data.test = draw_shapes(2000, 1);
  return data;
}

}  // namespace triseg
