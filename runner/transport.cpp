#include "runner/transport.hpp"

#include "core/error.hpp"

#include <mpi.h>

#include <climits>
#include <cstdlib>
#include <string>

namespace triseg {
namespace {

class LocalTransport final : public Transport {
 public:
  std::string_view name() const override { return "local"; }
  int rank() const override { return 0; }
  int size() const override { return 1; }
  int local_size() const override { return 1; }
  void broadcast(std::vector<std::byte>&) override {}
  std::vector<std::byte> gather(std::span<const std::byte> mine, std::span<const std::size_t>) override {
    return {mine.begin(), mine.end()};
  }
  [[noreturn]] void abort(int exit_code) override { std::_Exit(exit_code); }
};

/// Turns an MPI return code into an Error that names the operation.
void check_mpi(int code, std::string_view operation) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  fail("MPI: {} failed: {}", operation, std::string_view(text, length));
}

int checked_count(std::size_t bytes, std::string_view operation) {
  if (bytes > INT_MAX) fail("MPI: {}: {} bytes in one message, at most {} are possible", operation, bytes, INT_MAX);
  return static_cast<int>(bytes);
}

class MpiTransport final : public Transport {
 public:
  MpiTransport() {
    check_mpi(MPI_Init(nullptr, nullptr), "MPI_Init");
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    check_mpi(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "MPI_Comm_rank");
    check_mpi(MPI_Comm_size(MPI_COMM_WORLD, &size_), "MPI_Comm_size");
    MPI_Comm local = MPI_COMM_NULL;
    check_mpi(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &local), "MPI_Comm_split_type");
    check_mpi(MPI_Comm_size(local, &local_size_), "MPI_Comm_size");
    MPI_Comm_free(&local);
  }
  ~MpiTransport() override { MPI_Finalize(); }

  std::string_view name() const override { return "mpi"; }
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  int local_size() const override { return local_size_; }

  void broadcast(std::vector<std::byte>& message) override {
    unsigned long long bytes = message.size();
    check_mpi(MPI_Bcast(&bytes, 1, MPI_UNSIGNED_LONG_LONG, 0, MPI_COMM_WORLD), "broadcast of a size");
    message.resize(bytes);
    check_mpi(MPI_Bcast(message.data(), checked_count(bytes, "broadcast"), MPI_BYTE, 0, MPI_COMM_WORLD), "broadcast");
  }

  std::vector<std::byte> gather(std::span<const std::byte> mine, std::span<const std::size_t> bytes) override {
    std::vector<std::byte> all;
    std::vector<int> counts, offsets;
    if (rank_ == 0) {
      std::size_t total = 0;
      for (std::size_t b : bytes) {
        counts.push_back(checked_count(b, "gather"));
        offsets.push_back(checked_count(total, "gather"));
        total += b;
      }
      all.resize(total);
    }
    check_mpi(MPI_Gatherv(mine.data(), checked_count(mine.size(), "gather"), MPI_BYTE, all.data(), counts.data(),
                          offsets.data(), MPI_BYTE, 0, MPI_COMM_WORLD), "gather");
    return all;
  }

  [[noreturn]] void abort(int exit_code) override {
    MPI_Abort(MPI_COMM_WORLD, exit_code);
    std::_Exit(exit_code);
  }

 private:
  int rank_ = 0, size_ = 1, local_size_ = 1;
};

int environment_number(const char* name, int otherwise) {
  const char* value = std::getenv(name);
  return value ? std::atoi(value) : otherwise;
}

/// Processes that the launcher started together with this one, 0 if no launcher did.
int launched_tasks() {
  if (const int n = environment_number("OMPI_COMM_WORLD_SIZE", 0)) return n;
  if (const int n = environment_number("PMI_SIZE", 0)) return n;
  // SLURM_PROCID alone is also set in a batch script; a step's tasks are counted by srun.
  if (std::getenv("SLURM_PROCID") && std::getenv("SLURM_STEP_ID")) return environment_number("SLURM_STEP_NUM_TASKS", 0);
  return 0;
}

bool launched_by_slurm() { return std::getenv("OMPI_COMM_WORLD_SIZE") == nullptr && std::getenv("SLURM_STEP_ID") != nullptr; }

}  // namespace

int launcher_rank() {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"})
    if (std::getenv(name)) return environment_number(name, 0);
  return 0;
}

std::unique_ptr<Transport> make_transport(std::string_view name) {
  const int tasks = launched_tasks();
  if (name == "local" || (name == "auto" && tasks <= 1)) {
    if (tasks > 1) fail("--transport local: the launcher started {} processes, and local is for one", tasks);
    return std::make_unique<LocalTransport>();
  }
  if (name != "auto" && name != "mpi") fail("unknown transport '{}': expected auto, local or mpi", name);
  auto transport = std::make_unique<MpiTransport>();
  if (launched_by_slurm() && tasks != transport->size())
    fail("srun started {} tasks but MPI joined {}: use srun --mpi=pmix", tasks, transport->size());
  return transport;
}

}  // namespace triseg
