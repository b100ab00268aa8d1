// A stream with what is recorded on it, and memory that calls exchange with the device.
#pragma once

#include "worker/cuda/cuda_memory.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <vector>

namespace triseg {

/// A stream and the graphs captured on it, on one device.
class Stream {
 public:
  Stream() { check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "creation of a stream"); }
  Stream(const Stream&) = delete;
  ~Stream() {
    forget();
    cudaStreamDestroy(stream_);
  }
  operator cudaStream_t() const { return stream_; }
  void wait() { check_cuda(cudaStreamSynchronize(stream_), "execution"); }

  /// Enqueues what `work` enqueues, recorded at its first call with this key and replayed at the next ones.
  template <class Work>
  void replay(const std::vector<std::size_t>& key, const Work& work) {
    auto found = graphs_.find(key);
    if (found == graphs_.end()) {
      check_cuda(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "begin of a capture");
      cudaGraph_t graph = nullptr;
      try {
        work();
      } catch (...) {
        cudaStreamEndCapture(stream_, &graph);
        if (graph) cudaGraphDestroy(graph);
        throw;
      }
      check_cuda(cudaStreamEndCapture(stream_, &graph), "end of a capture");
      cudaGraphExec_t executable = nullptr;
      const cudaError_t code = cudaGraphInstantiate(&executable, graph, 0);
      cudaGraphDestroy(graph);
      check_cuda(code, "instantiation of a graph");
      found = graphs_.emplace(key, executable).first;
    }
    check_cuda(cudaGraphLaunch(found->second, stream_), "launch of a graph");
  }
  /// Drops all recordings: a buffer they name has moved.
  void forget() {
    for (auto& [key, graph] : graphs_) cudaGraphExecDestroy(graph);
    graphs_.clear();
  }

 private:
  cudaStream_t stream_ = nullptr;
  std::map<std::vector<std::size_t>, cudaGraphExec_t> graphs_;
};

/// A moment in the work of a stream.
class Event {
 public:
  Event() { check_cuda(cudaEventCreate(&event_), "creation of an event"); }
  Event(const Event&) = delete;
  ~Event() { cudaEventDestroy(event_); }
  void record(cudaStream_t stream) { check_cuda(cudaEventRecord(event_, stream), "recording of an event"); }
  /// Between two moments that have passed.
  float milliseconds(const Event& since) const {
    float time = 0;
    check_cuda(cudaEventElapsedTime(&time, since.event_, event_), "time between events");
    return time;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

/// What every call uploads per student or gets back, in device memory and its page-locked mirror.
template <class T>
struct Mirrored {
  DeviceArray<T> device;
  PinnedArray<T> host;
  std::size_t size() const { return std::min(host.size(), device.size()); }
  void reserve(std::size_t size) {
    host.reserve(size);
    device.reserve(size);
  }
  void upload(std::size_t count, cudaStream_t stream) {
    check_cuda(cudaMemcpyAsync(device.data(), host.data(), count * sizeof(T), cudaMemcpyHostToDevice, stream),
               "copy to the device");
  }
  void download(std::size_t count, cudaStream_t stream, std::size_t to = 0) {
    check_cuda(cudaMemcpyAsync(host.data() + to, device.data(), count * sizeof(T), cudaMemcpyDeviceToHost, stream),
               "copy from the device");
  }
};

}  // namespace triseg
