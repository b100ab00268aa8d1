#include "runner/ranks/transport.hpp"

#include "core/error.hpp"
#include "runner/ranks/launcher.hpp"
#include "runner/ranks/mpi_transport.hpp"
#include "runner/ranks/nccl_transport.hpp"
#include "worker/cuda/devices.hpp"
#include "worker/engines/engines.hpp"

#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

namespace triseg {
namespace {

class LocalTransport final : public Transport {
 public:
  std::string_view name() const override { return "local"; }
  int rank() const override { return 0; }
  int size() const override { return 1; }
  int local_rank() const override { return 0; }
  int local_size() const override { return 1; }
  void broadcast(std::vector<std::byte>&) override {}
  std::vector<std::byte> gather(std::span<const std::byte> mine, std::span<const std::size_t>) override {
    return {mine.begin(), mine.end()};
  }
  [[noreturn]] void abort(int exit_code) override { std::_Exit(exit_code); }
};

/// Empty if every rank runs the cuda engine on a GPU of its own, else why not; the same on all ranks.
std::string why_not_a_gpu_each(Transport& transport, bool cuda) {
  constexpr std::size_t length = 64;
  const auto gpus = devices();
  const std::string uuid = !cuda ? "-" : gpus.empty() ? "" : gpus[device_of(transport.local_rank())].uuid;
  std::vector<std::byte> mine(length);
  std::memcpy(mine.data(), uuid.data(), std::min(uuid.size(), length - 1));
  const auto all = transport.gather(mine, std::vector<std::size_t>(transport.size(), length));
  std::string verdict;
  std::map<std::string, std::size_t> ranks;
  for (std::size_t r = 0; r * length < all.size() && verdict.empty(); ++r) {
    const std::string theirs(reinterpret_cast<const char*>(&all[r * length]));
    const auto [other, is_new] = ranks.emplace(theirs, r);
    if (theirs == "-") verdict = fmt::format("rank {} does not run the cuda engine", r);
    else if (theirs.empty()) verdict = fmt::format("rank {} has no GPU", r);
    else if (!is_new) verdict = fmt::format("ranks {} and {} share a GPU", other->second, r);
  }
  std::vector<std::byte> message(verdict.size());
  std::memcpy(message.data(), verdict.data(), verdict.size());
  transport.broadcast(message);
  return {reinterpret_cast<const char*>(message.data()), message.size()};
}

}  // namespace

std::unique_ptr<Transport> make_local_transport() { return std::make_unique<LocalTransport>(); }

std::unique_ptr<Transport> make_transport(std::string_view name, std::string_view engine, double timeout, std::string* why) {
  std::string ignored;
  std::string& reason = why ? *why : ignored;
  reason = "as asked for";
  const bool automatic = name == "auto";
  const int tasks = launched_tasks();
  if (name == "local" || (automatic && tasks <= 1)) {
    if (tasks > 1) fail("--transport local: the launcher started {} processes, and local is for one", tasks);
    if (automatic) reason = "one process";
    return make_local_transport();
  }
  if (!automatic && name != "mpi" && name != "nccl") fail("unknown transport '{}': expected auto, local, mpi or nccl", name);
  if (name == "nccl" && !nccl_in_this_build()) fail("--transport nccl: this build has no NCCL; mpi works");
  if (!launcher_speaks_to_mpi()) fail("srun started {} tasks that MPI cannot join: use srun --mpi=pmix", tasks);
  auto mpi = std::make_unique<MpiTransport>();
  if (launched_by_slurm() && tasks != mpi->size())
    fail("srun started {} tasks but MPI joined {}: use srun --mpi=pmix", tasks, mpi->size());
  if (name == "mpi") return mpi;
  if (!nccl_in_this_build()) {
    reason = "this build has no NCCL";
    return mpi;
  }
  // What a rank sees of GPUs is its own: all ask all, whatever each would pick alone.
  const bool cuda = name == "nccl" || resolve_engine(engine) == "cuda";
  if (const std::string obstacle = why_not_a_gpu_each(*mpi, cuda); !obstacle.empty()) {
    if (!automatic) fail("--transport nccl: {}: start one rank per GPU, or use --transport mpi", obstacle);
    reason = obstacle;
    return mpi;
  }
  if (automatic) reason = "every rank has its own GPU";
  return make_nccl_transport(std::move(mpi), timeout);
}

}  // namespace triseg
