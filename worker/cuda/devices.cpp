#include "worker/cuda/devices.hpp"

namespace triseg {

int device_of(int local_rank) {
  const int count = static_cast<int>(devices().size());
  return count > 0 ? local_rank % count : 0;
}

}  // namespace triseg

#ifdef TRISEG_HAVE_CUDA
#include "core/error.hpp"

#include <cuda_runtime_api.h>

namespace triseg {
namespace {

std::string version(int number) { return number > 0 ? fmt::format("{}.{}", number / 1000, number % 1000 / 10) : ""; }

}  // namespace

std::vector<Device> devices() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) return {};
  std::vector<Device> all;
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp p{};
    if (cudaGetDeviceProperties(&p, i) != cudaSuccess) break;
    std::string uuid;
    for (const char byte : p.uuid.bytes) uuid += fmt::format("{:02x}", static_cast<unsigned char>(byte));
    all.push_back({p.name, uuid, fmt::format("{}.{}", p.major, p.minor)});
  }
  return all;
}

std::string device_problem() {
  int count = 0, driver = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  cudaDriverGetVersion(&driver);
  return code == cudaSuccess || driver == 0 ? "" : cudaGetErrorString(code);
}

CudaVersions cuda_versions() {
  int driver = 0;
  cudaDriverGetVersion(&driver);
  return {version(CUDART_VERSION), version(driver)};
}

}  // namespace triseg
#else
namespace triseg {

std::vector<Device> devices() { return {}; }
std::string device_problem() { return {}; }
CudaVersions cuda_versions() { return {}; }

}  // namespace triseg
#endif
