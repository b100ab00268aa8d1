// The GPUs that the cuda engine could run on. Without CUDA in this build there are none.
#pragma once

#include <string>
#include <vector>

namespace triseg {

struct Device {
  std::string name;        ///< "NVIDIA H200"
  std::string uuid;        ///< of the card, different for any two, on whatever hosts
  std::string capability;  ///< "9.0"
};

/// All GPUs, in the order of CUDA's numbers; empty without a driver.
std::vector<Device> devices();

/// The number of the GPU that a rank takes, by its number among the ranks of its host; 0 if there is none.
int device_of(int local_rank);

/// Why devices() is empty although there is a driver, for instance that it is too old; else empty.
std::string device_problem();

/// CUDA as "X.Y": what this build was compiled with and what the driver supports. Empty where there is none.
struct CudaVersions {
  std::string compiled, driver;
};
CudaVersions cuda_versions();

}  // namespace triseg
