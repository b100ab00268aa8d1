#include "runner/ranks/communicator.hpp"

#include "core/cores.hpp"
#include "core/error.hpp"
#include "runner/ranks/build_identity.hpp"
#include "runner/ranks/mpi_error.hpp"
#include "runner/ranks/shared_error.hpp"
#include "runner/ranks/wire.hpp"

#include <mpi.h>

#include <climits>
#include <utility>

namespace triseg {
namespace {

int checked_count(std::size_t bytes) {
  if (bytes > INT_MAX) fail("MPI: {} bytes in one message, at most {} are possible", bytes, INT_MAX);
  return static_cast<int>(bytes);
}

/// What every rank passes, on every rank.
std::vector<std::vector<std::byte>> gather_everywhere(MPI_Comm communicator, const std::vector<std::byte>& mine) {
  int size = 0;
  check_mpi(MPI_Comm_size(communicator, &size), "MPI_Comm_size");
  const int length = checked_count(mine.size());
  std::vector<int> lengths(size), offsets(size);
  check_mpi(MPI_Allgather(&length, 1, MPI_INT, lengths.data(), 1, MPI_INT, communicator), "exchange of lengths");
  std::size_t total = 0;
  for (int r = 0; r < size; ++r) {
    offsets[r] = checked_count(total);
    total += lengths[r];
  }
  std::vector<std::byte> all(total);
  check_mpi(
      MPI_Allgatherv(mine.data(), length, MPI_BYTE, all.data(), lengths.data(), offsets.data(), MPI_BYTE, communicator),
      "exchange");
  std::vector<std::vector<std::byte>> messages;
  for (int r = 0; r < size; ++r) messages.emplace_back(all.begin() + offsets[r], all.begin() + offsets[r] + lengths[r]);
  return messages;
}

std::vector<std::byte> encode(const Cores& cores) {
  WireWriter writer;
  writer.list(std::vector<int>(cores.allowed.begin(), cores.allowed.end()));
  writer.value(cores.quota.cores);
  writer.text(cores.quota.group);
  return std::move(writer).bytes();
}

Cores decode_cores(std::span<const std::byte> message) {
  WireReader reader(message);
  const auto allowed = reader.list<int>();
  const double quota = reader.value<double>();
  return {{allowed.begin(), allowed.end()}, {quota, reader.text()}};
}

/// Throws SharedError unless all ranks run the same build. Text in MPI's own collective calls: all that ranks of two
/// builds can rely on.
void agree_on_build(MPI_Comm communicator) {
  const std::string mine = build_identity();
  const auto bytes = std::as_bytes(std::span(mine));
  std::vector<std::string> builds;
  for (const auto& message : gather_everywhere(communicator, {bytes.begin(), bytes.end()}))
    builds.emplace_back(reinterpret_cast<const char*>(message.data()), message.size());
  for (std::size_t r = 0; r < builds.size(); ++r)
    if (builds[r] != builds[0])
      throw SharedError(
          fmt::format("rank {} runs another build of triseg ({}) than rank 0 ({})", r, builds[r], builds[0]));
}

std::vector<std::string> hosts_of(MPI_Comm communicator) {
  char name[MPI_MAX_PROCESSOR_NAME];
  int length = 0;
  check_mpi(MPI_Get_processor_name(name, &length), "MPI_Get_processor_name");
  WireWriter writer;
  writer.text(std::string_view(name, length));
  std::vector<std::string> hosts;
  for (const auto& message : gather_everywhere(communicator, std::move(writer).bytes()))
    hosts.push_back(WireReader(message).text());
  return hosts;
}

}  // namespace

struct Communicator::Handle {
  MPI_Comm communicator = MPI_COMM_NULL;
  Handle() = default;
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() {
    if (communicator != MPI_COMM_NULL) MPI_Comm_free(&communicator);
  }
};

Communicator::Communicator(std::shared_ptr<MpiSession> session, std::unique_ptr<Handle> handle)
    : session_(std::move(session)), handle_(std::move(handle)) {
  check_mpi(MPI_Comm_rank(handle_->communicator, &rank_), "MPI_Comm_rank");
  hosts_ = hosts_of(handle_->communicator);
}

Communicator::Communicator(std::shared_ptr<MpiSession> session)
    : Communicator(std::move(session), [] {
        auto world = std::make_unique<Handle>();
        check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &world->communicator), "MPI_Comm_dup");
        agree_on_build(world->communicator);
        return world;
      }()) {
  Handle host;
  check_mpi(MPI_Comm_split_type(handle_->communicator, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host.communicator),
            "MPI_Comm_split_type");
  check_mpi(MPI_Comm_rank(host.communicator, &local_rank_), "MPI_Comm_rank");
  std::vector<Cores> cores;
  for (const auto& message : gather_everywhere(host.communicator, encode(cores_of_this_process())))
    cores.push_back(decode_cores(message));
  threads_ = threads_of(cores, local_rank_);
}

Communicator::~Communicator() = default;
Communicator::Communicator(Communicator&&) noexcept = default;
Communicator& Communicator::operator=(Communicator&&) noexcept = default;

Communicator Communicator::split(int group) const {
  auto handle = std::make_unique<Handle>();
  check_mpi(MPI_Comm_split(handle_->communicator, group, rank_, &handle->communicator), "MPI_Comm_split");
  Communicator part(session_, std::move(handle));
  part.local_rank_ = local_rank_;
  part.threads_ = threads_;
  return part;
}

Communicator::Poll Communicator::begin_send(int to, std::span<const std::byte> message) const {
  const auto request = std::make_shared<MPI_Request>(MPI_REQUEST_NULL);
  check_mpi(
      MPI_Isend(message.data(), checked_count(message.size()), MPI_BYTE, to, 0, handle_->communicator, request.get()),
      "send");
  return [request] {
    int sent = 0;
    check_mpi(MPI_Test(request.get(), &sent, MPI_STATUS_IGNORE), "send");
    return sent != 0;
  };
}

Communicator::Poll Communicator::begin_receive(int from, std::vector<std::byte>& message) const {
  const auto request = std::make_shared<MPI_Request>(MPI_REQUEST_NULL);
  return [=, &message, communicator = handle_->communicator, begun = false]() mutable {
    if (!begun) {
      int there = 0, bytes = 0;
      MPI_Message sent;
      MPI_Status status;
      check_mpi(MPI_Improbe(from, 0, communicator, &there, &sent, &status), "look for a message");
      if (!there) return false;
      check_mpi(MPI_Get_count(&status, MPI_BYTE, &bytes), "length of a message");
      message.resize(bytes);
      check_mpi(MPI_Imrecv(message.data(), bytes, MPI_BYTE, &sent, request.get()), "receive");
      begun = true;
    }
    int received = 0;
    check_mpi(MPI_Test(request.get(), &received, MPI_STATUS_IGNORE), "receive");
    return received != 0;
  };
}

void Communicator::abort(int exit_code) const { session_->abort(exit_code); }

}  // namespace triseg
