#include "worker/cpu/requantize_kernels.hpp"

#include <type_traits>

#if defined(__x86_64__)
#include <immintrin.h>
// GCC 12 takes the undefined register that its AVX-512 headers start from for a mistake.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace triseg {
namespace {

namespace portable {
#include "worker/cpu/requantize_loops.inc"
}  // namespace portable

#if defined(__x86_64__)

#pragma GCC push_options
#pragma GCC target("avx2")
namespace avx2 {
#include "worker/cpu/requantize_loops.inc"
}  // namespace avx2
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,prefer-vector-width=512")
namespace avx512 {
#include "worker/cpu/requantize_loops.inc"

/// Codes of 16 sums each, scaled and rounded, zero point not added; limited so that they fit 32 bits.
struct Scaling {
  const std::int32_t* bias;
  const float* multiplier;
  __m512 high;

  [[gnu::always_inline]] __m512i operator()(__m512i sums, int lane) const {
    const __m512i all = _mm512_add_epi32(sums, _mm512_loadu_si512(bias + lane));
    const __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(all), _mm512_loadu_ps(multiplier + lane));
    // Rounds halves to even. What is too small for 32 bits becomes the smallest integer.
    return _mm512_cvtps_epi32(_mm512_min_ps(scaled, high));
  }
};

/// Lanes in sixteens; 64 codes at a time, packed with saturation, which changes nothing that the limits do not.
void requantize_packed(const std::int32_t* sums, Sides plane, Sides pool, const LaneRequantization& requantization,
                       std::uint8_t* codes) {
  const int lanes = static_cast<int>(requantization.bias.size());
  if (lanes % 16 != 0) return requantize(sums, plane, pool, requantization, codes);
  const int zero = requantization.zero_point;
  const Scaling scale{requantization.bias.data(), requantization.multiplier.data(),
                      _mm512_set1_ps(static_cast<float>(requantization.highest - zero))};
  const __m512i zeros = _mm512_set1_epi16(static_cast<short>(zero));
  const __m512i lowest = _mm512_set1_epi8(static_cast<char>(requantization.lowest));
  const __m512i in_order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const int height = plane.height / pool.height, width = plane.width / pool.width, in_row = width * lanes;
  int lane = 0;
  const std::int32_t* window = sums;  // of the next 16 codes
  const auto next = [&]() __attribute__((always_inline)) {
    __m512i best = _mm512_loadu_si512(window + lane);
    for (int i = 0; i < pool.height; ++i)
      for (int j = i == 0; j < pool.width; ++j)
        best = _mm512_max_epi32(best, _mm512_loadu_si512(window + (std::size_t(i) * plane.width + j) * lanes + lane));
    const __m512i scaled = scale(best, lane);
    lane += 16;
    if (lane == lanes) {
      lane = 0;
      window += pool.width * lanes;
    }
    return scaled;
  };
  const auto packed = [&](__m512i a, __m512i b, __m512i c, __m512i d) __attribute__((always_inline)) {
    const __m512i first = _mm512_adds_epi16(_mm512_packs_epi32(a, b), zeros);
    const __m512i second = _mm512_adds_epi16(_mm512_packs_epi32(c, d), zeros);
    const __m512i mixed = _mm512_permutexvar_epi32(in_order, _mm512_packus_epi16(first, second));
    return _mm512_max_epu8(mixed, lowest);
  };
  // Rows that are not pooled follow each other.
  const bool one_row = pool.height == 1 && plane.width == width * pool.width;
  const int rows = one_row ? 1 : height, count = one_row ? height * in_row : in_row;
  for (int y = 0; y < rows; ++y, codes += count) {
    window = sums + std::size_t(y) * pool.height * plane.width * lanes;
    lane = 0;
    int at = 0;
    for (; at + 64 <= count; at += 64) {
      const __m512i a = next(), b = next(), c = next(), d = next();
      _mm512_storeu_si512(codes + at, packed(a, b, c, d));
    }
    for (; at < count; at += 16) {
      const __m512i a = next();
      _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + at), _mm512_castsi512_si128(packed(a, a, a, a)));
    }
  }
}

/// 64 lookups at a time: two permutations of 128 entries each, chosen between by the code's top bit.
void apply_table_vbmi(const Table& table, const std::uint8_t* in, std::size_t count, std::uint8_t* out) {
  const std::uint8_t* const entries = &table[0];
  const __m512i t0 = _mm512_loadu_si512(entries), t1 = _mm512_loadu_si512(entries + 64);
  const __m512i t2 = _mm512_loadu_si512(entries + 128), t3 = _mm512_loadu_si512(entries + 192);
  for (std::size_t i = 0; i < count; i += 64) {
    const __mmask64 valid = count - i < 64 ? (std::uint64_t{1} << (count - i)) - 1 : ~std::uint64_t{0};
    const __m512i codes = _mm512_maskz_loadu_epi8(valid, in + i);
    const __m512i below = _mm512_permutex2var_epi8(t0, codes, t1), above = _mm512_permutex2var_epi8(t2, codes, t3);
    _mm512_mask_storeu_epi8(out + i, valid, _mm512_mask_blend_epi8(_mm512_movepi8_mask(codes), below, above));
  }
}
}  // namespace avx512
#pragma GCC pop_options

#endif

std::vector<RequantizeKernels> kernels_of_this_cpu() {
  std::vector<RequantizeKernels> kernels;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi"))
    kernels.push_back(
        {"AVX512-VBMI", avx512::requantize_packed, avx512::apply_table_vbmi, avx512::squares, avx512::add_moments});
  if (__builtin_cpu_supports("avx2"))
    kernels.push_back({"AVX2", avx2::requantize, avx2::apply_table, avx2::squares, avx2::add_moments});
#endif
  kernels.push_back(
      {"portable", portable::requantize, portable::apply_table, portable::squares, portable::add_moments});
  return kernels;
}

}  // namespace

std::span<const RequantizeKernels> requantize_kernels() {
  static const std::vector<RequantizeKernels> kernels = kernels_of_this_cpu();
  return kernels;
}

}  // namespace triseg
