#include "worker/cpu/operation_kernels.hpp"

#include <type_traits>

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
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")
namespace avx512 {
#include "worker/cpu/operation_loops.inc"
}  // namespace avx512
#pragma GCC pop_options

#endif

std::vector<OperationKernels> kernels_of_this_cpu() {
  std::vector<OperationKernels> kernels;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    kernels.push_back({"AVX512", avx512::average, avx512::maximum, avx512::add, avx512::multiply, avx512::depthwise});
  if (__builtin_cpu_supports("avx2"))
    kernels.push_back({"AVX2", avx2::average, avx2::maximum, avx2::add, avx2::multiply, avx2::depthwise});
#endif
  kernels.push_back(
      {"portable", portable::average, portable::maximum, portable::add, portable::multiply, portable::depthwise});
  return kernels;
}

}  // namespace

std::span<const OperationKernels> operation_kernels() {
  static const std::vector<OperationKernels> kernels = kernels_of_this_cpu();
  return kernels;
}

}  // namespace triseg
