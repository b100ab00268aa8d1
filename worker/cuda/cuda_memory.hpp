// Owning buffers in device and page-locked host memory, and errors of the CUDA runtime as exceptions.
#pragma once

#include "core/error.hpp"

#include <cuda_runtime_api.h>

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

namespace triseg {

/// Throws Error "CUDA: OPERATION failed: REASON" unless `code` is success.
inline void check_cuda(cudaError_t code, std::string_view operation) {
  if (code != cudaSuccess) fail("CUDA: {} failed: {}", operation, cudaGetErrorString(code));
}

/// An array that only grows; growing loses what it held. `Memory` allocates and frees.
template <class T, class Memory>
class CudaArray {
 public:
  CudaArray() = default;
  CudaArray(CudaArray&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  CudaArray& operator=(CudaArray&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~CudaArray() { Memory::release(data_); }

  void reserve(std::size_t size) {
    if (size <= size_) return;
    Memory::release(std::exchange(data_, nullptr));
    size_ = 0;
    void* memory = nullptr;
    check_cuda(Memory::allocate(&memory, size * sizeof(T)), Memory::name);
    data_ = static_cast<T*>(memory);
    size_ = size;
  }
  T* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

struct DeviceMemory {
  static constexpr std::string_view name = "allocation of device memory";
  static cudaError_t allocate(void** memory, std::size_t bytes) { return cudaMalloc(memory, bytes); }
  static void release(void* memory) { cudaFree(memory); }
};

struct PinnedMemory {
  static constexpr std::string_view name = "allocation of page-locked memory";
  static cudaError_t allocate(void** memory, std::size_t bytes) { return cudaMallocHost(memory, bytes); }
  static void release(void* memory) { cudaFreeHost(memory); }
};

template <class T>
using DeviceArray = CudaArray<T, DeviceMemory>;
template <class T>
using PinnedArray = CudaArray<T, PinnedMemory>;

/// A device copy of `values`, complete when the call returns.
template <class T>
DeviceArray<T> on_device(std::span<const T> values) {
  DeviceArray<T> array;
  array.reserve(values.size());
  // On a stream of this thread's own: what waits for the whole device breaks the captures of other threads.
  check_cuda(
      cudaMemcpyAsync(array.data(), values.data(), values.size_bytes(), cudaMemcpyHostToDevice, cudaStreamPerThread),
      "copy to the device");
  check_cuda(cudaStreamSynchronize(cudaStreamPerThread), "copy to the device");
  return array;
}

}  // namespace triseg
