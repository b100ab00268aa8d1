#include "runner/rollout.hpp"

#include "core/error.hpp"
#include "runner/signals.hpp"

#include <cstring>

namespace triseg {
namespace {

/// What travels before a request's images and codes.
struct MessageHeader {
  std::uint32_t task = 0;
  std::uint32_t split = 0;
  std::uint32_t batch_size = 0;
  std::int32_t exit_code = 0;
  std::uint64_t images = 0;
  std::uint64_t candidates = 0;
  char phase[40] = {};      // ends with a zero
  std::uint64_t sites = 0;  // codes of each candidate; each is preceded by a byte that is 1 if it is exact, with zeros for codes
};

template <class T>
void append(std::vector<std::byte>& bytes, const T* values, std::size_t count) {
  const std::size_t end = bytes.size();
  bytes.resize(end + count * sizeof(T));
  if (count > 0) std::memcpy(&bytes[end], values, count * sizeof(T));
}

std::vector<std::byte> encode(std::uint32_t task, const ScoreRequest& request, int exit_code) {
  MessageHeader header{task, static_cast<std::uint32_t>(request.split), request.batch_size, exit_code,
                       request.images.size(), request.candidates.size(), {}, 0};
  request.phase.copy(header.phase, sizeof header.phase - 1);
  for (const auto& codes : request.candidates) header.sites = std::max<std::uint64_t>(header.sites, codes.size());
  std::vector<std::byte> bytes;
  append(bytes, &header, 1);
  append(bytes, request.images.data(), request.images.size());
  const std::vector<Codes> exact(header.sites);
  for (const auto& codes : request.candidates) {
    const std::uint8_t is_exact = codes.empty();
    append(bytes, &is_exact, 1);
    append(bytes, is_exact ? exact.data() : codes.data(), header.sites);
  }
  return bytes;
}

std::pair<MessageHeader, ScoreRequest> decode(const std::vector<std::byte>& bytes) {
  MessageHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  ScoreRequest request{static_cast<Split>(header.split), header.batch_size, std::vector<std::uint32_t>(header.images), {}, header.phase};
  const std::byte* at = bytes.data() + sizeof header;
  std::memcpy(request.images.data(), at, header.images * sizeof(std::uint32_t));
  at += header.images * sizeof(std::uint32_t);
  for (std::uint64_t c = 0; c < header.candidates; ++c) {
    std::vector<Codes> codes(*at++ == std::byte{1} ? 0 : header.sites);
    std::memcpy(codes.data(), at, codes.size() * sizeof(Codes));
    at += header.sites * sizeof(Codes);
    request.candidates.push_back(std::move(codes));
  }
  return {header, request};
}

using SiteHistograms = std::vector<Histogram>;

}  // namespace

std::vector<std::byte> Rollout::take_part(Task task, const ScoreRequest& request) {
  transport_.set_phase(request.phase);
  const auto ranks = static_cast<std::size_t>(transport_.size()), rank = static_cast<std::size_t>(transport_.rank());
  const bool scores = task == Task::score;
  const std::size_t units = scores ? request.items() : request.batches();
  const auto begin = [&](std::size_t r) {
    return r < idle_ranks_ ? 0 : units * (r - idle_ranks_) / (ranks - idle_ranks_);
  };
  const std::size_t first = begin(rank), count = begin(rank + 1) - first;

  std::vector<std::byte> mine;
  const std::uint64_t stop = stop_signal_received();
  append(mine, &stop, 1);
  std::size_t histogram_bytes = 0;
  if (scores) {
    const auto records = scorer_.score(request, first, count);
    append(mine, records.data(), records.size());
  } else {
    const auto histograms = scorer_.histograms(request, first, count);
    append(mine, histograms.data(), histograms.size());
    histogram_bytes = histograms.size() * sizeof(Histogram);
  }
  std::vector<std::size_t> bytes(ranks);
  for (std::size_t r = 0; r < ranks; ++r)
    bytes[r] = sizeof stop + (scores ? (begin(r + 1) - begin(r)) * sizeof(Score) : histogram_bytes);
  const auto all = transport_.gather(mine, bytes);

  std::vector<std::byte> records;
  std::size_t at = 0;
  for (std::size_t r = 0; r < ranks && !all.empty(); ++r) {
    std::uint64_t flag = 0;
    std::memcpy(&flag, &all[at], sizeof flag);
    stop_requested_ = stop_requested_ || flag != 0;
    records.insert(records.end(), all.begin() + at + sizeof flag, all.begin() + at + bytes[r]);
    at += bytes[r];
  }
  return records;
}

std::vector<Score> Rollout::score(const ScoreRequest& request) {
  auto message = encode(static_cast<std::uint32_t>(Task::score), request, 0);
  transport_.broadcast(message);
  const auto bytes = take_part(Task::score, request);
  std::vector<Score> scores(bytes.size() / sizeof(Score));
  std::memcpy(scores.data(), bytes.data(), bytes.size());
  return scores;
}

std::vector<Histogram> Rollout::histograms(const ScoreRequest& request) {
  auto message = encode(static_cast<std::uint32_t>(Task::histograms), request, 0);
  transport_.broadcast(message);
  const auto bytes = take_part(Task::histograms, request);
  SiteHistograms all(bytes.size() / sizeof(Histogram)), total(all.size() / transport_.size());
  std::memcpy(all.data(), bytes.data(), bytes.size());
  for (std::size_t i = 0; i < all.size(); ++i) total[i % total.size()] += all[i];
  return total;
}

void Rollout::finish(int exit_code) {
  auto message = encode(static_cast<std::uint32_t>(Task::finish), {}, exit_code);
  transport_.broadcast(message);
}

int Rollout::serve() {
  for (;;) {
    std::vector<std::byte> message;
    transport_.broadcast(message);
    const auto [header, request] = decode(message);
    if (static_cast<Task>(header.task) == Task::finish) return header.exit_code;
    take_part(static_cast<Task>(header.task), request);
  }
}

}  // namespace triseg
