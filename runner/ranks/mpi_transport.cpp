#include "runner/ranks/mpi_transport.hpp"

namespace triseg {

MpiTransport::MpiTransport(Communicator ranks, double timeout)
    : ranks_(std::make_shared<const Communicator>(std::move(ranks))), watch_("MPI", ranks_, timeout) {}

void MpiTransport::broadcast(std::vector<std::byte>& message) {
  watch_.begin("broadcast");
  if (rank() != 0) return watch_.wait(0, ranks_->begin_receive(0, message));
  std::vector<Communicator::Poll> sent;
  for (int r = 1; r < size(); ++r) sent.push_back(ranks_->begin_send(r, message));
  for (int r = 1; r < size(); ++r) watch_.wait(r, sent[r - 1]);
}

std::vector<std::vector<std::byte>> MpiTransport::gather(std::span<const std::byte> mine) {
  watch_.begin("gather");
  if (rank() != 0) {
    watch_.wait(0, ranks_->begin_send(0, mine));
    return {};
  }
  std::vector<std::vector<std::byte>> all(size());
  all[0].assign(mine.begin(), mine.end());
  for (int r = 1; r < size(); ++r) watch_.wait(r, ranks_->begin_receive(r, all[r]));
  return all;
}

}  // namespace triseg
