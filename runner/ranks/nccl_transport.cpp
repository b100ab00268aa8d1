#include "runner/ranks/nccl_transport.hpp"

#include "core/error.hpp"
#include "runner/ranks/ranks.hpp"
#include "runner/ranks/wire.hpp"

#ifdef TRISEG_HAVE_NCCL
#include "worker/cuda/cuda_memory.hpp"
#include "worker/cuda/devices.hpp"

#include <nccl.h>

#include <climits>
#include <cstring>
#include <utility>

namespace triseg {
namespace {

std::string version(int number) { return fmt::format("{}.{}.{}", number / 10000, number % 10000 / 100, number % 100); }

class NcclTransport final : public Transport {
 public:
  NcclTransport(std::shared_ptr<MpiTransport> mpi, double timeout)
      : mpi_(std::move(mpi)), watch_("NCCL", mpi_->communicator(), timeout) {
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
    if (bytes.size() != sizeof id)
      fail("NCCL: start failed: an identifier of {} bytes, expected {}", bytes.size(), sizeof id);
    std::memcpy(&id, bytes.data(), sizeof id);
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    begin("start", any_rank);
    check(ncclCommInitRankConfig(&communicator_, size(), id, rank(), &config));
    settle();
  }

  ~NcclTransport() override {
    // Another rank may have failed: an orderly end is tried, but not waited for without limit.
    try {
      if (communicator_) {
        begin("end", any_rank);
        check(ncclCommFinalize(communicator_));
        settle();
        ncclCommDestroy(communicator_);
      }
    } catch (const Error&) {}
    cudaStreamDestroy(stream_);
  }

  std::string_view name() const override { return "nccl"; }
  int rank() const override { return mpi_->rank(); }
  int size() const override { return mpi_->size(); }
  int local_rank() const override { return mpi_->local_rank(); }
  int threads() const override { return mpi_->threads(); }
  void set_phase(std::string_view phase) override {
    mpi_->set_phase(phase);
    watch_.set_phase(phase);
  }

  void broadcast(std::vector<std::byte>& message) override {
    auto length = encode_length(message.size());
    mpi_->broadcast(length);
    message.resize(decode_length(length));
    if (message.empty()) return;
    begin("broadcast", rank() == 0 ? any_rank : 0);
    reserve(message.size());
    if (rank() == 0) {
      std::memcpy(host_.data(), message.data(), message.size());
      copy(staged_.data(), host_.data(), message.size(), cudaMemcpyHostToDevice);
    }
    check(ncclBroadcast(staged_.data(), staged_.data(), message.size(), ncclUint8, 0, communicator_, stream_));
    settle();
    if (rank() != 0) copy(host_.data(), staged_.data(), message.size(), cudaMemcpyDeviceToHost);
    finish();
    if (rank() != 0) std::memcpy(message.data(), host_.data(), message.size());
  }

  std::vector<std::vector<std::byte>> gather(std::span<const std::byte> mine) override {
    const auto lengths = mpi_->gather(encode_length(mine.size()));
    if (rank() != 0) {
      if (mine.empty()) return {};
      begin("gather", 0);
      reserve(mine.size());
      std::memcpy(host_.data(), mine.data(), mine.size());
      copy(staged_.data(), host_.data(), mine.size(), cudaMemcpyHostToDevice);
      check(ncclSend(staged_.data(), mine.size(), ncclUint8, 0, communicator_, stream_));
      settle();
      finish();
      return {};
    }
    std::vector<std::vector<std::byte>> all(size());
    all[0].assign(mine.begin(), mine.end());
    for (int r = 1; r < size(); ++r) {
      const std::size_t bytes = decode_length(lengths[r]);
      if (bytes == 0) continue;
      begin("gather", r);
      reserve(bytes);
      check(ncclRecv(staged_.data(), bytes, ncclUint8, r, communicator_, stream_));
      settle();
      copy(host_.data(), staged_.data(), bytes, cudaMemcpyDeviceToHost);
      finish();
      all[r].assign(host_.data(), host_.data() + bytes);
    }
    return all;
  }

  [[noreturn]] void abort(int exit_code) override { mpi_->abort(exit_code); }

 private:
  static std::vector<std::byte> encode_length(std::size_t bytes) {
    WireWriter writer;
    writer.value(std::uint64_t{bytes});
    return std::move(writer).bytes();
  }

  static std::size_t decode_length(std::span<const std::byte> message) {
    WireReader reader(message);
    const auto bytes = reader.value<std::uint64_t>();
    reader.end();
    if (bytes > INT_MAX) fail("NCCL: {} bytes in one message, at most {} are possible", bytes, INT_MAX);
    return bytes;
  }

  /// Names what follows for messages and starts its clock. peer: the rank it waits for.
  void begin(std::string_view operation, int peer) {
    select_device();  // the caller may have looked at other GPUs in between
    peer_ = peer;
    watch_.begin(operation);
  }

  void select_device() { check_cuda(cudaSetDevice(device_), "selection of a GPU"); }

  void reserve(std::size_t bytes) {
    staged_.reserve(bytes);
    host_.reserve(bytes);
  }

  void copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
    check_cuda(cudaMemcpyAsync(to, from, bytes, kind, stream_), "copy of a message");
  }

  void check(ncclResult_t code) {
    if (code == ncclSuccess || code == ncclInProgress) return;
    leave();
    fail("NCCL: {} failed: {} ({})", watch_.operation(), ncclGetErrorString(code), watch_.phase());
  }

  /// Waits until the communicator has taken the last call.
  void settle() {
    wait([&] { return communicator_is_ready(); });
  }

  /// Waits until the stream has done its work.
  void finish() {
    wait([&] {
      communicator_is_ready();
      const cudaError_t code = cudaStreamQuery(stream_);
      if (code != cudaErrorNotReady) check_cuda(code, watch_.operation());
      return code == cudaSuccess;
    });
  }

  bool communicator_is_ready() {
    ncclResult_t state = ncclSuccess;
    check(ncclCommGetAsyncError(communicator_, &state));
    check(state);
    return state == ncclSuccess;
  }

  void wait(const std::function<bool()>& done) {
    try {
      watch_.wait(peer_, done);
    } catch (const Error&) {
      leave();
      throw;
    }
  }

  /// Takes the communicator's work off the GPU, which others would wait for.
  void leave() {
    if (communicator_) ncclCommAbort(std::exchange(communicator_, nullptr));
  }

  std::shared_ptr<MpiTransport> mpi_;
  Watch watch_;
  int device_ = 0;
  cudaStream_t stream_ = nullptr;
  ncclComm_t communicator_ = nullptr;
  DeviceArray<std::byte> staged_;
  PinnedArray<std::byte> host_;
  int peer_ = 0;
};

}  // namespace

bool nccl_in_this_build() { return true; }

NcclVersions nccl_versions() {
  int loaded = 0;
  ncclGetVersion(&loaded);
  return {version(NCCL_VERSION_CODE), version(loaded)};
}

std::unique_ptr<Transport> make_nccl_transport(std::shared_ptr<MpiTransport> mpi, double timeout) {
  return std::make_unique<NcclTransport>(std::move(mpi), timeout);
}

}  // namespace triseg
#else
namespace triseg {

bool nccl_in_this_build() { return false; }
NcclVersions nccl_versions() { return {}; }
std::unique_ptr<Transport> make_nccl_transport(std::shared_ptr<MpiTransport>, double) {
  fail("this build has no NCCL");
}

}  // namespace triseg
#endif
