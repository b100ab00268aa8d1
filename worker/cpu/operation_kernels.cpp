#include "worker/cpu/operation_kernels.hpp"

#include <algorithm>
#include <cstdint>
#include <type_traits>

#if defined(__x86_64__)
#include <immintrin.h>
// GCC 12 takes the undefined register that its AVX-512 headers start from for a mistake.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace triseg {
namespace {

constexpr std::int32_t one_bit = add_fraction_bits;

namespace portable {
#include "worker/cpu/operation_loops.inc"
}  // namespace portable

#if defined(__x86_64__)

#pragma GCC push_options
#pragma GCC target("avx2")
namespace avx2 {
#include "worker/cpu/operation_loops.inc"
}  // namespace avx2
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,prefer-vector-width=512")
namespace avx512_vbmi {
#include "worker/cpu/operation_loops.inc"

/// 64 lookups of 8 bits.
struct Lookup {
  __m512i entries[4];

  explicit Lookup(const std::int8_t* table) {
    for (int i = 0; i < 4; ++i) entries[i] = _mm512_loadu_si512(table + 64 * i);
  }
  [[gnu::always_inline]] __m512i operator()(__m512i codes) const {
    const __m512i below = _mm512_permutex2var_epi8(entries[0], codes, entries[1]);
    const __m512i above = _mm512_permutex2var_epi8(entries[2], codes, entries[3]);
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(codes), below, above);
  }
};

/// Both in the 16-bit halves of 32 bits.
inline __m512i pair_of(int a, int b) { return _mm512_set1_epi32((a & 0xffff) | static_cast<int>(unsigned(b) << 16)); }

/// slope * q in two products of 16 bits, the upper and the lower 12 bits of the slope, and rests by lookup.
void add_slopes(const BinaryPass& p, const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* out) {
  if (!p.has_slopes || p.height != 1 || p.width != 1 || p.a.one_channel || p.b.one_channel) return add(p, a, b, out);
  constexpr int lower = 12, mask = (1 << lower) - 1;
  const Lookup rest_a(p.rest_a.data()), rest_b(p.rest_b.data());
  const __m512i upper_slopes = pair_of(p.slope_a >> lower, p.slope_b >> lower);
  const __m512i lower_slopes = pair_of(p.slope_a & mask, p.slope_b & mask);
  const __m512i offset = _mm512_set1_epi32(p.offset_ab), zero = _mm512_setzero_si512(), one = _mm512_set1_epi32(1);
  const __m512i below_half = _mm512_set1_epi32((1 << (one_bit - 1)) - 1);
  const __m512i lowest = _mm512_set1_epi8(static_cast<char>(p.lowest));
  const __m512i highest = _mm512_set1_epi8(static_cast<char>(p.highest));
  // q: 16-bit pairs of codes; rests: 16-bit sums of rests, the upper 16 bits of each 32 empty.
  const auto code = [&](__m512i q, __m512i rests) __attribute__((always_inline)) {
    __m512i sum = _mm512_slli_epi32(_mm512_madd_epi16(q, upper_slopes), lower);
    sum = _mm512_add_epi32(sum, _mm512_madd_epi16(q, lower_slopes));
    sum = _mm512_add_epi32(_mm512_add_epi32(sum, offset), rests);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(sum, one_bit), one);
    return _mm512_srai_epi32(_mm512_add_epi32(_mm512_add_epi32(sum, below_half), odd), one_bit);
  };
  // Interleaving and packing both stay within 128 bits, so that codes end where they were.
  const auto half = [&](__m512i pairs, __m512i rests) __attribute__((always_inline)) {
    return _mm512_packs_epi32(code(_mm512_unpacklo_epi8(pairs, zero), _mm512_unpacklo_epi16(rests, zero)),
                              code(_mm512_unpackhi_epi8(pairs, zero), _mm512_unpackhi_epi16(rests, zero)));
  };
  for (int i = 0; i < p.lanes; i += 64) {
    const __mmask64 valid = p.lanes - i < 64 ? (std::uint64_t{1} << (p.lanes - i)) - 1 : ~std::uint64_t{0};
    const __m512i x = _mm512_maskz_loadu_epi8(valid, a + i), y = _mm512_maskz_loadu_epi8(valid, b + i);
    const __m512i rest_x = rest_a(x), rest_y = rest_b(y), bias = _mm512_set1_epi8(-128);
    // Rests as 0..255, so that their sums need no sign.
    const __m512i ux = _mm512_xor_si512(rest_x, bias), uy = _mm512_xor_si512(rest_y, bias);
    const __m512i low_rests = _mm512_add_epi16(_mm512_unpacklo_epi8(ux, zero), _mm512_unpacklo_epi8(uy, zero));
    const __m512i high_rests = _mm512_add_epi16(_mm512_unpackhi_epi8(ux, zero), _mm512_unpackhi_epi8(uy, zero));
    const __m512i low = half(_mm512_unpacklo_epi8(x, y), low_rests),
                  high = half(_mm512_unpackhi_epi8(x, y), high_rests);
    const __m512i codes = _mm512_min_epu8(_mm512_max_epu8(_mm512_packus_epi16(low, high), lowest), highest);
    _mm512_mask_storeu_epi8(out + i, valid, codes);
  }
}
}  // namespace avx512_vbmi
#pragma GCC pop_options

#endif

std::vector<OperationKernels> kernels_of_this_cpu() {
  std::vector<OperationKernels> kernels;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi"))
    kernels.push_back({"AVX512-VBMI", avx512_vbmi::average, avx512_vbmi::maximum, avx512_vbmi::add_slopes,
                       avx512_vbmi::multiply, avx512_vbmi::depthwise});
  if (__builtin_cpu_supports("avx2"))
    kernels.push_back({"AVX2", avx2::average, avx2::maximum, avx2::add, avx2::multiply, avx2::depthwise});
#endif
  kernels.push_back(
      {"portable", portable::average, portable::maximum, portable::add, portable::multiply, portable::depthwise});
  return kernels;
}

/// table[q] = slope * q + rest[q] + offset, rests around 0. False if a rest does not fit 8 bits, or a slope 28 bits.
bool find_slope(const std::array<std::int32_t, 256>& table, std::int32_t& slope, std::int32_t& offset,
                std::array<std::int8_t, 256>& rest) {
  const std::int64_t rise = std::int64_t(table[255]) - table[0];
  slope = static_cast<std::int32_t>((rise + (rise < 0 ? -127 : 127)) / 255);
  constexpr std::int32_t most = std::int32_t{1} << 27;
  if (slope >= most || slope < -most) return false;
  std::array<std::int64_t, 256> rests;
  for (int q = 0; q < 256; ++q) rests[q] = table[q] - std::int64_t(slope) * q;
  const auto [low, high] = std::minmax_element(rests.begin(), rests.end());
  if (*high - *low > 255) return false;
  const std::int64_t middle = *low + 128;
  if (middle > INT32_MAX || middle < INT32_MIN) return false;
  offset = static_cast<std::int32_t>(middle);
  for (int q = 0; q < 256; ++q) rest[q] = static_cast<std::int8_t>(rests[q] - middle);
  return true;
}

}  // namespace

void find_slopes(BinaryPass& pass) {
  std::int32_t a = 0, b = 0;
  pass.has_slopes =
      find_slope(pass.table_a, pass.slope_a, a, pass.rest_a) && find_slope(pass.table_b, pass.slope_b, b, pass.rest_b);
  // Rests are summed without their sign, 128 more each. Sums wrap around, and end within 32 bits.
  pass.offset_ab = static_cast<std::int32_t>(static_cast<std::uint32_t>(a) + static_cast<std::uint32_t>(b) - 256u);
}

std::span<const OperationKernels> operation_kernels() {
  static const std::vector<OperationKernels> kernels = kernels_of_this_cpu();
  return kernels;
}

}  // namespace triseg
