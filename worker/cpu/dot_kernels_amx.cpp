#include "worker/cpu/dot_kernels_amx.hpp"

#if defined(__x86_64__) && defined(__linux__)

#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

namespace triseg {
namespace {

constexpr int tile_positions = 16, tile_bytes = 64;

struct alignas(64) TileConfiguration {
  std::uint8_t palette = 0, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};

/// The compiler does not know what instructions on tiles read and write.
inline void memory_barrier() { asm volatile("" ::: "memory"); }

#pragma GCC push_options
#pragma GCC target("amx-tile,amx-int8")

/// Tiles: 0 and 1 sums of the first tile of positions, 2 and 3 of the second, by block; 4 and 5 codes; 6 and 7 weights.
template <int tiles, int blocks>
void multiply(const DotPass& pass, const std::uint8_t* const* codes, const std::uint8_t* weights,
              std::int32_t* const* sums) {
  const std::size_t step = pass.column_step;
  _tile_zero(0);
  if constexpr (blocks == 2) _tile_zero(1);
  if constexpr (tiles == 2) _tile_zero(2);
  if constexpr (tiles == 2 && blocks == 2) _tile_zero(3);
  for (const std::size_t run : pass.runs) {
    for (int at = 0; at < pass.dots * 4; at += tile_bytes, weights += blocks * tile_bytes * 16) {
      _tile_loadd(6, weights, blocks * tile_bytes);
      _tile_loadd(4, codes[0] + run + at, step);
      _tile_dpbusd(0, 4, 6);
      if constexpr (blocks == 2) {
        _tile_loadd(7, weights + tile_bytes, blocks * tile_bytes);
        _tile_dpbusd(1, 4, 7);
      }
      if constexpr (tiles == 2) {
        _tile_loadd(5, codes[1] + run + at, step);
        _tile_dpbusd(2, 5, 6);
        if constexpr (blocks == 2) _tile_dpbusd(3, 5, 7);
      }
    }
  }
  const std::size_t position = pass.lanes * sizeof(std::int32_t);
  _tile_stored(0, sums[0], position);
  if constexpr (blocks == 2) _tile_stored(1, sums[0] + 16, position);
  if constexpr (tiles == 2) _tile_stored(2, sums[1], position);
  if constexpr (tiles == 2 && blocks == 2) _tile_stored(3, sums[1] + 16, position);
}

template <int blocks>
void positions(const DotPass& pass, const std::uint8_t* weights, std::int32_t* sums) {
  const int columns = std::min(tile_positions, pass.width), in_row = (pass.width + columns - 1) / columns;
  const int all = in_row * pass.height;
  for (int first = 0; first < all; first += 2) {
    const std::uint8_t* from[2];
    std::int32_t* to[2];
    for (int i = 0; i < 2 && first + i < all; ++i) {
      // The last tile of a row may overlap the one before it: the same sums a second time.
      const int y = (first + i) / in_row, x = std::min((first + i) % in_row * columns, pass.width - columns);
      from[i] = pass.codes + y * pass.row_step + x * pass.column_step;
      to[i] = sums + (std::size_t(y) * pass.width + x) * pass.lanes;
    }
    if (first + 1 < all) multiply<2, blocks>(pass, from, weights, to);
    else multiply<1, blocks>(pass, from, weights, to);
  }
}

#pragma GCC pop_options

}  // namespace

bool amx_usable() {
  constexpr int request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  static const bool usable = __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-int8") &&
                             syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
  return usable;
}

#pragma GCC push_options
#pragma GCC target("amx-tile,amx-int8")

void run_amx(const DotPass& pass) {
  TileConfiguration before, configuration;
  configuration.palette = 1;
  const int columns = std::min(tile_positions, pass.width);
  for (int tile = 0; tile < 8; ++tile) {
    configuration.row_bytes[tile] = tile_bytes;
    configuration.rows[tile] = static_cast<std::uint8_t>(tile < 6 ? columns : 16);
  }
  memory_barrier();
  _tile_storeconfig(&before);
  _tile_loadconfig(&configuration);
  memory_barrier();
  const std::size_t weights_of_block = pass.runs.size() * pass.dots * tile_bytes;
  const std::uint8_t* weights = pass.weights;
  for (int lane = 0; lane < pass.lanes; lane += 32) {
    if (pass.lanes - lane > 16) positions<2>(pass, weights, pass.sums + lane);
    else positions<1>(pass, weights, pass.sums + lane);
    weights += 2 * weights_of_block;
  }
  memory_barrier();
  if (before.palette == 0) _tile_release();
  else _tile_loadconfig(&before);
}

#pragma GCC pop_options

}  // namespace triseg

#else

namespace triseg {
bool amx_usable() { return false; }
void run_amx(const DotPass&) {}
}  // namespace triseg

#endif
