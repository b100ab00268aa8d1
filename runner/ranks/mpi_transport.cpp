#include "runner/ranks/mpi_transport.hpp"

#include "core/error.hpp"

#include <mpi.h>

#include <chrono>
#include <climits>
#include <cstdlib>
#include <string>
#include <thread>

namespace triseg {
namespace {

constexpr int announcement_tag = 1;

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

}  // namespace

MpiTransport::MpiTransport() {
  int threads = 0;  // others score, but only this one calls MPI
  check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &threads), "MPI_Init_thread");
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  check_mpi(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(MPI_COMM_WORLD, &size_), "MPI_Comm_size");
  MPI_Comm local = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &local), "MPI_Comm_split_type");
  check_mpi(MPI_Comm_rank(local, &local_rank_), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(local, &local_size_), "MPI_Comm_size");
  MPI_Comm_free(&local);
}

MpiTransport::~MpiTransport() { MPI_Finalize(); }

void MpiTransport::broadcast(std::vector<std::byte>& message) {
  unsigned long long bytes = message.size();
  check_mpi(MPI_Bcast(&bytes, 1, MPI_UNSIGNED_LONG_LONG, 0, MPI_COMM_WORLD), "broadcast of a size");
  message.resize(bytes);
  check_mpi(MPI_Bcast(message.data(), checked_count(bytes, "broadcast"), MPI_BYTE, 0, MPI_COMM_WORLD), "broadcast");
}

std::vector<std::byte> MpiTransport::gather(std::span<const std::byte> mine, std::span<const std::size_t> bytes) {
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

void MpiTransport::abort(int exit_code) {
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::_Exit(exit_code);
}

void MpiTransport::announce(const std::string& text) {
  announced_ = text;  // stays until the messages have left
  std::vector<MPI_Request> requests;
  for (int rank = 0; rank < size_; ++rank) {
    MPI_Request request;
    if (rank != rank_ && MPI_Isend(announced_.data(), static_cast<int>(announced_.size()), MPI_BYTE, rank, announcement_tag,
                                   MPI_COMM_WORLD, &request) == MPI_SUCCESS)
      requests.push_back(request);
  }
  // A message may wait for its connection, or for a rank that hangs: give them a second.
  int all_left = 0;
  for (int i = 0; i < 100 && !all_left; ++i) {
    if (MPI_Testall(static_cast<int>(requests.size()), requests.data(), &all_left, MPI_STATUSES_IGNORE) != MPI_SUCCESS) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

std::optional<std::string> MpiTransport::announcement() {
  int there = 0;
  MPI_Status status;
  if (MPI_Iprobe(MPI_ANY_SOURCE, announcement_tag, MPI_COMM_WORLD, &there, &status) != MPI_SUCCESS || !there) return std::nullopt;
  int bytes = 0;
  MPI_Get_count(&status, MPI_BYTE, &bytes);
  std::string text(static_cast<std::size_t>(bytes), ' ');
  MPI_Recv(text.data(), bytes, MPI_BYTE, status.MPI_SOURCE, announcement_tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  return text;
}

std::string mpi_version() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  MPI_Get_library_version(text, &length);
  const std::string all(text, static_cast<std::size_t>(length));
  return all.substr(0, all.find_first_of(",\n"));
}

}  // namespace triseg
