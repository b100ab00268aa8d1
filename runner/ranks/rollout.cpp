#include "runner/ranks/rollout.hpp"

#include "core/error.hpp"
#include "runner/ranks/signals.hpp"

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
  std::uint64_t repairs = 0;
  std::uint64_t with_repair = 0;  // entries of repair_of: candidates or 0
};

template <class T>
void append(std::vector<std::byte>& bytes, const T* values, std::size_t count) {
  const std::size_t end = bytes.size();
  bytes.resize(end + count * sizeof(T));
  if (count > 0) std::memcpy(&bytes[end], values, count * sizeof(T));
}

/// A repair as its number of layers and, for each, the number of its channels (0: none of its own), multipliers and biases.
void append(std::vector<std::byte>& bytes, const Repair& repair) {
  const std::uint64_t layers = repair.size();
  append(bytes, &layers, 1);
  for (const auto& layer : repair) {
    const std::uint64_t channels = layer ? layer->bias.size() : 0;
    append(bytes, &channels, 1);
    if (!layer) continue;
    append(bytes, layer->multiplier.data(), channels);
    append(bytes, layer->bias.data(), channels);
  }
}

template <class T>
void take(const std::byte*& at, T* values, std::size_t count) {
  if (count > 0) std::memcpy(values, at, count * sizeof(T));
  at += count * sizeof(T);
}

Repair take_repair(const std::byte*& at) {
  std::uint64_t layers = 0;
  take(at, &layers, 1);
  Repair repair(layers);
  for (auto& layer : repair) {
    std::uint64_t channels = 0;
    take(at, &channels, 1);
    if (channels == 0) continue;
    layer.emplace(std::vector<float>(channels), std::vector<std::int32_t>(channels));
    take(at, layer->multiplier.data(), channels);
    take(at, layer->bias.data(), channels);
  }
  return repair;
}

std::vector<std::byte> encode(std::uint32_t task, const ScoreRequest& request, int exit_code) {
  MessageHeader header{task, static_cast<std::uint32_t>(request.split), request.batch_size, exit_code,
                       request.images.size(), request.candidates.size(), {}, 0, request.repairs.size(), request.repair_of.size()};
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
  append(bytes, request.repair_of.data(), request.repair_of.size());
  for (const Repair& repair : request.repairs) append(bytes, repair);
  return bytes;
}

std::pair<MessageHeader, ScoreRequest> decode(const std::vector<std::byte>& bytes) {
  MessageHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  ScoreRequest request{static_cast<Split>(header.split), header.batch_size, std::vector<std::uint32_t>(header.images), {}, {}, std::vector<std::uint32_t>(header.with_repair), header.phase};
  const std::byte* at = bytes.data() + sizeof header;
  take(at, request.images.data(), header.images);
  for (std::uint64_t c = 0; c < header.candidates; ++c) {
    std::vector<Codes> codes(*at++ == std::byte{1} ? 0 : header.sites);
    std::memcpy(codes.data(), at, codes.size() * sizeof(Codes));
    at += header.sites * sizeof(Codes);
    request.candidates.push_back(std::move(codes));
  }
  take(at, request.repair_of.data(), header.with_repair);
  for (std::uint64_t r = 0; r < header.repairs; ++r) request.repairs.push_back(take_repair(at));
  return {header, request};
}

}  // namespace

std::vector<std::byte> Rollout::take_part(Task task, const ScoreRequest& request) {
  transport_.set_phase(request.phase);
  const auto ranks = static_cast<std::size_t>(transport_.size()), rank = static_cast<std::size_t>(transport_.rank());
  const bool scores = task == Task::score;
  const std::size_t units = task == Task::histograms ? request.batches() : request.items();
  const auto begin = [&](std::size_t r) {
    return r < idle_ranks_ ? 0 : units * (r - idle_ranks_) / (ranks - idle_ranks_);
  };
  const std::size_t first = begin(rank), count = begin(rank + 1) - first;

  std::vector<std::byte> mine;
  const std::uint64_t stop = stop_signal_received();
  append(mine, &stop, 1);
  std::size_t total_bytes = 0;  // of the totals that every rank sends, unless it sends a record for each item
  if (scores) {
    const auto records = scorer_.score(request, first, count);
    append(mine, records.data(), records.size());
  } else if (task == Task::moments) {
    const auto moments = scorer_.moments(request, first, count);
    append(mine, moments.data(), moments.size());
    total_bytes = moments.size() * sizeof(Moments);
  } else {
    const auto histograms = scorer_.histograms(request, first, count);
    append(mine, histograms.data(), histograms.size());
    total_bytes = histograms.size() * sizeof(Histogram);
  }
  std::vector<std::size_t> bytes(ranks);
  for (std::size_t r = 0; r < ranks; ++r)
    bytes[r] = sizeof stop + (scores ? (begin(r + 1) - begin(r)) * sizeof(Score) : total_bytes);
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

template <class T>
std::vector<T> Rollout::totals(Task task, const ScoreRequest& request) {
  auto message = encode(static_cast<std::uint32_t>(task), request, 0);
  transport_.broadcast(message);
  const auto bytes = take_part(task, request);
  std::vector<T> all(bytes.size() / sizeof(T)), total(all.size() / transport_.size());
  std::memcpy(all.data(), bytes.data(), bytes.size());
  for (std::size_t i = 0; i < all.size(); ++i) total[i % total.size()] += all[i];
  return total;
}

std::vector<Moments> Rollout::moments(const ScoreRequest& request) { return totals<Moments>(Task::moments, request); }

std::vector<Histogram> Rollout::histograms(const ScoreRequest& request) { return totals<Histogram>(Task::histograms, request); }

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
