#include "worker/cpu/requantize_kernels.hpp"

#include <type_traits>

#if defined(__x86_64__)
#include <immintrin.h>
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
        {"AVX512-VBMI", avx512::requantize, avx512::apply_table_vbmi, avx512::squares, avx512::add_moments});
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
