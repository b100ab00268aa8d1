#include "worker/cpu/dot_kernels.hpp"

#include "worker/cpu/dot_kernels_amx.hpp"

#include <array>
#include <cstring>
#include <utility>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
// GCC 12 takes the undefined register that its AVX-512 headers start from for a mistake.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace triseg {
namespace {

#if defined(__x86_64__)

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")
namespace avx512_vnni {
using Sums = __m512i;
using Codes = __m512i;
using Weights = __m512i;
using Code = std::uint8_t;
constexpr int block = 16;
constexpr int most_columns(int) { return 8; }
constexpr int chains(int columns, int blocks) { return columns * blocks <= 8 ? 2 : 1; }
inline Sums zero() { return _mm512_setzero_si512(); }
inline Sums sum(Sums a, Sums b) { return _mm512_add_epi32(a, b); }
inline Weights weights_at(const std::uint8_t* p) { return _mm512_loadu_si512(p); }
inline Codes codes_at(const std::uint8_t* p) {
  int four;
  std::memcpy(&four, p, 4);
  return _mm512_set1_epi32(four);
}
inline Sums dot(Sums sums, Codes codes, Weights weights) { return _mm512_dpbusd_epi32(sums, codes, weights); }
inline void store(std::int32_t* p, Sums sums, int lanes) {
  _mm512_mask_storeu_epi32(p, static_cast<__mmask16>((1u << lanes) - 1), sums);
}
#include "worker/cpu/dot_loops.inc"
}  // namespace avx512_vnni
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx2,avxvnni")
namespace avx_vnni {
using Code = std::uint8_t;
#include "worker/cpu/dot_registers_256.inc"
inline Sums dot(Sums sums, Codes codes, Weights weights) { return _mm256_dpbusd_avx_epi32(sums, codes, weights); }
#include "worker/cpu/dot_loops.inc"
}  // namespace avx_vnni
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx2")
namespace avx2_small {
using Code = std::uint8_t;
#include "worker/cpu/dot_registers_256.inc"
inline Sums dot(Sums sums, Codes codes, Weights weights) {
  const __m256i pairs = _mm256_maddubs_epi16(codes, weights);
  return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
#include "worker/cpu/dot_loops.inc"
}  // namespace avx2_small

namespace avx2 {
using Code = std::uint16_t;
#include "worker/cpu/dot_registers_256.inc"
inline Sums dot(Sums sums, Codes codes, Weights weights) {
  return _mm256_add_epi32(sums, _mm256_madd_epi16(codes, weights));
}
#include "worker/cpu/dot_loops.inc"
}  // namespace avx2
#pragma GCC pop_options

#endif

std::vector<DotKernels> kernels_of_this_cpu() {
  std::vector<DotKernels> kernels;
#if defined(__x86_64__)
  if (amx_usable()) kernels.push_back({"AMX", 16, 1, 16, 16, 16, false, run_amx, nullptr});
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni"))
    kernels.push_back({"AVX512-VNNI", 16, 1, 1, 8, 1, false, avx512_vnni::run, avx512_vnni::depthwise});
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("avxvnni"))
    kernels.push_back({"AVX-VNNI", 8, 1, 1, 8, 1, false, avx_vnni::run, avx_vnni::depthwise});
  if (__builtin_cpu_supports("avx2")) {
    kernels.push_back({"AVX2", 8, 1, 1, 8, 1, true, avx2_small::run, nullptr});
    kernels.push_back({"AVX2 in 16 bits", 8, 2, 1, 8, 1, false, avx2::run, avx2::depthwise});
  }
#endif
  return kernels;
}

}  // namespace

std::span<const DotKernels> dot_kernels() {
  static const std::vector<DotKernels> kernels = kernels_of_this_cpu();
  return kernels;
}

}  // namespace triseg
