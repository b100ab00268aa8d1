#include "runner/ranks/transport.hpp"

#include "core/cores.hpp"
#include "core/error.hpp"
#include "runner/ranks/launcher.hpp"
#include "runner/ranks/mpi_transport.hpp"
#include "runner/ranks/nccl_transport.hpp"
#include "runner/ranks/ranks.hpp"
#include "worker/cuda/devices.hpp"

#include <cstdlib>
#include <functional>
#include <map>
#include <string>

namespace triseg {
namespace {

class LocalTransport final : public Transport {
 public:
  LocalTransport(int local_rank, int threads)
      : local_rank_(local_rank), threads_(threads > 0 ? threads : available_cores()) {}
  std::string_view name() const override { return "local"; }
  int rank() const override { return 0; }
  int size() const override { return 1; }
  int local_rank() const override { return local_rank_; }
  int threads() const override { return threads_; }
  void broadcast(std::vector<std::byte>&) override {}
  std::vector<std::vector<std::byte>> gather(std::span<const std::byte> mine) override {
    return {{mine.begin(), mine.end()}};
  }
  [[noreturn]] void abort(int exit_code) override { std::_Exit(exit_code); }

 private:
  int local_rank_, threads_;
};

/// MPI in this process, which ends when the process does: MPI_Finalize waits for all ranks, so none of them ends, and
/// lets mpirun end the others, before rank 0 has said why.
const std::shared_ptr<MpiSession>& mpi_session() {
  static const auto session = std::make_shared<MpiSession>();
  return session;
}

void check_possible(TransportKind kind) {
  if (kind == TransportKind::nccl && !nccl_in_this_build()) fail("--transport nccl: this build has no NCCL; mpi works");
}

/// Empty if every rank has a GPU of its own, else why not; the same on all ranks.
std::string why_not_a_gpu_each(Transport& transport) {
  const auto gpus = devices();
  const auto uuids = gather_texts(transport, gpus.empty() ? "" : gpus[device_of(transport.local_rank())].uuid);
  std::string verdict;
  std::map<std::string, std::size_t> ranks;
  for (std::size_t r = 0; r < uuids.size() && verdict.empty(); ++r) {
    const auto [other, is_new] = ranks.emplace(uuids[r], r);
    if (uuids[r].empty()) verdict = fmt::format("rank {} has no GPU", r);
    else if (!is_new) verdict = fmt::format("ranks {} and {} share a GPU", other->second, r);
  }
  return broadcast_text(transport, verdict);
}

/// What joins ranks that MPI has joined.
std::shared_ptr<Transport> choose(const std::shared_ptr<MpiTransport>& mpi, TransportKind kind, double timeout) {
  if (kind != TransportKind::nccl) return mpi;
  if (const std::string obstacle = why_not_a_gpu_each(*mpi); !obstacle.empty())
    throw SharedError(fmt::format("--transport nccl: {}: start one rank per GPU, or use --transport mpi", obstacle));
  return make_nccl_transport(mpi, timeout);
}

/// Joins what the launcher started and calls use(world) on all ranks, once they agree that nothing is wrong; false,
/// and no call, where one process is to run. Errors are those of make_transport.
bool join_world(TransportKind kind, std::exception_ptr problem, double timeout,
                const std::function<void(const std::shared_ptr<MpiTransport>&)>& use) {
  const int tasks = std::max(launched_tasks(), 1);  // started by hand, MPI has one
  if (!problem && kind != TransportKind::local) problem = failure_of([&] { check_possible(kind); });
  if (problem && (kind == TransportKind::local || tasks == 1)) std::rethrow_exception(problem);
  if (kind == TransportKind::local || (tasks == 1 && kind == TransportKind::automatic)) return false;
  if (!launcher_speaks_to_mpi()) fail("srun started {} tasks that MPI cannot join: use srun --mpi=pmix", tasks);
  together(*mpi_session(), [&] {
    const auto mpi = std::make_shared<MpiTransport>(Communicator(mpi_session()), timeout);
    agree(*mpi, [&] {
      if (tasks != mpi->size())
        fail("{} started {} tasks but MPI joined {}: use {}", launched_by_slurm() ? "srun" : "the launcher", tasks,
             mpi->size(), launched_by_slurm() ? "srun --mpi=pmix" : "the mpirun of the MPI that triseg was built with");
    });
    try {
      agree(*mpi, [&] {
        if (problem) std::rethrow_exception(problem);
      });
    } catch (const SharedError&) {
      if (!problem) throw;
    }
    if (problem) return 0;
    agree_on(*mpi, std::string(name_of(transport_names, kind)), "--transport is not that of rank 0");
    use(mpi);
    return 0;
  });
  if (problem) std::rethrow_exception(problem);
  return true;
}

}  // namespace

std::unique_ptr<Transport> make_local_transport(int local_rank, int threads) {
  return std::make_unique<LocalTransport>(local_rank, threads);
}

std::shared_ptr<Transport> make_transport(TransportKind kind, double timeout, std::exception_ptr problem) {
  std::shared_ptr<Transport> chosen;
  if (!join_world(kind, problem, timeout, [&](const auto& mpi) { chosen = choose(mpi, kind, timeout); }))
    chosen = make_local_transport();
  return chosen;
}

RankGroups make_rank_groups(TransportKind kind, double timeout, int ranks_per_group, std::exception_ptr problem) {
  constexpr double no_limit = 1e8;  // of seconds: a group waits for nobody until all of its work is done
  RankGroups groups;
  const auto split = [&](const std::shared_ptr<MpiTransport>& world) {
    agree_on(*world, fmt::format("{}", ranks_per_group), "--ranks-per-run is not that of rank 0");
    groups.world = world;
    groups.index = world->rank() / ranks_per_group;
    groups.count = (world->size() + ranks_per_group - 1) / ranks_per_group;
    const auto mpi = std::make_shared<MpiTransport>(world->communicator()->split(groups.index), timeout);
    if (mpi->size() == 1) groups.group = make_local_transport(mpi->local_rank(), mpi->threads());
    const auto failure = failure_of([&] {
      if (mpi->size() > 1) groups.group = choose(mpi, kind, timeout);
    });
    agree(*world, [&] {  // other groups would wait for this one for ever
      if (failure) std::rethrow_exception(failure);
    });
  };
  if (!join_world(kind, problem, no_limit, split)) groups.world = groups.group = make_local_transport();
  return groups;
}

}  // namespace triseg
