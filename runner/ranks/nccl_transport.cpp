#include "runner/ranks/nccl_transport.hpp"

#include "core/error.hpp"
#include "runner/ranks/ranks.hpp"
#include "runner/ranks/report_error.hpp"

#ifdef TRISEG_HAVE_NCCL
#include "worker/cuda/cuda_memory.hpp"
#include "worker/cuda/devices.hpp"

#include <nccl.h>

#include <chrono>
#include <cstring>
#include <thread>

namespace triseg {
namespace {

using Clock = std::chrono::steady_clock;

std::string version(int number) { return fmt::format("{}.{}.{}", number / 10000, number % 10000 / 100, number % 100); }

class NcclTransport final : public Transport {
 public:
  NcclTransport(std::unique_ptr<MpiTransport> mpi, double timeout) : mpi_(std::move(mpi)), timeout_(timeout) {
    ncclUniqueId id{};
    agree(*mpi_, [&] {
      device_ = device_of(mpi_->local_rank());
      select_device();
      check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "creation of a stream");
      if (rank() != 0) return;
      if (const ncclResult_t code = ncclGetUniqueId(&id); code != ncclSuccess)
        fail("NCCL: start failed: {}", ncclGetErrorString(code));
    });
    std::vector<std::byte> bytes(sizeof id);
    std::memcpy(bytes.data(), &id, sizeof id);
    mpi_->broadcast(bytes);
    std::memcpy(&id, bytes.data(), sizeof id);
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    begin("start", 0);
    try {
      check(ncclCommInitRankConfig(&communicator_, size(), id, rank(), &config), "start");
      settle();
    } catch (const Error& error) {
      // An orderly end of MPI would wait for a rank that hangs.
      report_error(fmt::format("rank {}: {}", rank(), error.what()));
      abort(1);
    }
  }

  ~NcclTransport() override {
    if (!communicator_) {
      cudaStreamDestroy(stream_);
      return;
    }
    // Another rank may have failed: an orderly end is tried, but not waited for without limit.
    try {
      begin("end", 0);
      check(ncclCommFinalize(communicator_), "end");
      settle();
      ncclCommDestroy(communicator_);
    } catch (const Error&) {
    }
    cudaStreamDestroy(stream_);
  }

  std::string_view name() const override { return "nccl"; }
  int rank() const override { return mpi_->rank(); }
  int size() const override { return mpi_->size(); }
  int local_rank() const override { return mpi_->local_rank(); }
  int local_size() const override { return mpi_->local_size(); }
  void set_phase(std::string_view phase) override { phase_ = phase; }

  void broadcast(std::vector<std::byte>& message) override {
    begin("broadcast", 0);
    std::uint64_t bytes = message.size();
    reserve(sizeof bytes);
    std::memcpy(host_.data(), &bytes, sizeof bytes);
    broadcast_staged(sizeof bytes);
    std::memcpy(&bytes, host_.data(), sizeof bytes);
    if (bytes == 0) {
      message.clear();
      return;
    }
    reserve(bytes);
    if (rank() == 0) std::memcpy(host_.data(), message.data(), bytes);
    broadcast_staged(bytes);
    message.assign(host_.data(), host_.data() + bytes);
  }

  std::vector<std::byte> gather(std::span<const std::byte> mine, std::span<const std::size_t> bytes) override {
    if (rank() != 0) {
      begin("gather", 0);
      if (mine.empty()) return {};
      reserve(mine.size());
      std::memcpy(host_.data(), mine.data(), mine.size());
      copy(staged_.data(), host_.data(), mine.size(), cudaMemcpyHostToDevice);
      check(ncclSend(staged_.data(), mine.size(), ncclUint8, 0, communicator_, stream_), "gather");
      settle();
      finish();
      return {};
    }
    std::vector<std::byte> all(mine.begin(), mine.end());
    for (int r = 1; r < size(); ++r) {
      if (bytes[r] == 0) continue;
      begin("gather", r);
      reserve(bytes[r]);
      check(ncclRecv(staged_.data(), bytes[r], ncclUint8, r, communicator_, stream_), "gather");
      settle();
      copy(host_.data(), staged_.data(), bytes[r], cudaMemcpyDeviceToHost);
      finish();
      all.insert(all.end(), host_.data(), host_.data() + bytes[r]);
    }
    return all;
  }

  [[noreturn]] void abort(int exit_code) override {
    // The others may be about to print why they end, too.
    std::this_thread::sleep_for(std::chrono::seconds(1));
    mpi_->abort(exit_code);
  }

 private:
  /// Names what follows for messages and starts its clock. peer: the rank it waits for.
  void begin(std::string_view operation, int peer) {
    select_device();  // the caller may have looked at other GPUs in between
    operation_ = operation;
    peer_ = peer;
    // Rank 0 waits for each rank in turn; it is to give up first and tell the others whom it missed.
    limit_ = rank() == 0 ? timeout_ : size() * timeout_ + 5;
    deadline_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(limit_));
  }

  void select_device() { check_cuda(cudaSetDevice(device_), "selection of a GPU"); }

  void reserve(std::size_t bytes) {
    staged_.reserve(bytes);
    host_.reserve(bytes);
  }

  void copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
    check_cuda(cudaMemcpyAsync(to, from, bytes, kind, stream_), "copy of a message");
  }

  void broadcast_staged(std::size_t bytes) {
    if (rank() == 0) copy(staged_.data(), host_.data(), bytes, cudaMemcpyHostToDevice);
    check(ncclBroadcast(staged_.data(), staged_.data(), bytes, ncclUint8, 0, communicator_, stream_), "broadcast");
    settle();
    if (rank() != 0) copy(host_.data(), staged_.data(), bytes, cudaMemcpyDeviceToHost);
    finish();
  }

  void check(ncclResult_t code, std::string_view operation) {
    if (code != ncclSuccess && code != ncclInProgress)
      give_up(fmt::format("NCCL: {} failed: {} ({})", operation, ncclGetErrorString(code), phase_));
  }

  /// Waits until the communicator has taken the last call.
  void settle() {
    wait_until([&] {
      ncclResult_t state = ncclSuccess;
      check(ncclCommGetAsyncError(communicator_, &state), operation_);
      check(state, operation_);
      return state == ncclSuccess;
    });
  }

  /// Waits until the stream has done its work.
  void finish() {
    wait_until([&] {
      ncclResult_t state = ncclSuccess;
      check(ncclCommGetAsyncError(communicator_, &state), operation_);
      check(state, operation_);
      const cudaError_t code = cudaStreamQuery(stream_);
      if (code != cudaErrorNotReady) check_cuda(code, operation_);
      return code == cudaSuccess;
    });
  }

  template <class Done>
  void wait_until(const Done& done) {
    constexpr auto busy = std::chrono::milliseconds(2);  // then the core is left to others between two looks
    for (const auto start = Clock::now(); !done();) {
      if (const auto news = mpi_->announcement()) leave(*news);
      const auto now = Clock::now();
      if (now > deadline_)
        give_up(fmt::format("NCCL: {}: {} did not answer within {:g} s ({})", operation_,
                            peer_ == rank() ? "another rank" : fmt::format("rank {}", peer_), limit_, phase_));
      if (now - start > busy) std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
  }

  [[noreturn]] void give_up(const std::string& reason) {
    mpi_->announce(reason);
    leave(reason);
  }

  [[noreturn]] void leave(const std::string& reason) {
    if (communicator_) ncclCommAbort(std::exchange(communicator_, nullptr));
    throw Error(reason);
  }

  std::unique_ptr<MpiTransport> mpi_;
  double timeout_;
  int device_ = 0;
  cudaStream_t stream_ = nullptr;
  ncclComm_t communicator_ = nullptr;
  DeviceArray<std::byte> staged_;
  PinnedArray<std::byte> host_;
  std::string phase_ = "start", operation_;
  int peer_ = 0;
  double limit_ = 0;  // [s]
  Clock::time_point deadline_;
};

}  // namespace

bool nccl_in_this_build() { return true; }

NcclVersions nccl_versions() {
  int loaded = 0;
  ncclGetVersion(&loaded);
  return {version(NCCL_VERSION_CODE), version(loaded)};
}

std::unique_ptr<Transport> make_nccl_transport(std::unique_ptr<MpiTransport> mpi, double timeout) {
  return std::make_unique<NcclTransport>(std::move(mpi), timeout);
}

}  // namespace triseg
#else
namespace triseg {

bool nccl_in_this_build() { return false; }
NcclVersions nccl_versions() { return {}; }
std::unique_ptr<Transport> make_nccl_transport(std::unique_ptr<MpiTransport>, double) { fail("this build has no NCCL"); }

}  // namespace triseg
#endif
