#include "runner/ranks/rollout.hpp"

#include "core/error.hpp"
#include "runner/ranks/signals.hpp"

namespace triseg {

std::pair<std::size_t, std::size_t> Rollout::share_of(std::size_t rank, Task task, const ScoreRequest& request) const {
  const std::size_t units = task == Task::histograms ? request.batches() : request.items();
  const std::size_t working = static_cast<std::size_t>(transport_.size()) - idle_ranks_;
  const auto begin = [&](std::size_t r) { return r < idle_ranks_ ? 0 : units * (r - idle_ranks_) / working; };
  return {begin(rank), begin(rank + 1) - begin(rank)};
}

std::vector<std::byte> Rollout::answer(Task task, const ScoreRequest& request) {
  const auto [first, count] = share_of(transport_.rank(), task, request);
  switch (task) {
    case Task::score: return encode_answer(stop_signal_received(), scorer_.score(request, first, count));
    case Task::moments: return encode_answer(stop_signal_received(), scorer_.moments(request, first, count));
    case Task::histograms: return encode_answer(stop_signal_received(), scorer_.histograms(request, first, count));
    case Task::finish: break;
  }
  return {};
}

std::vector<std::vector<std::byte>> Rollout::answers(Task task, const ScoreRequest& request) {
  auto message = encode(task, 0, request);
  transport_.set_phase(request.phase);
  transport_.broadcast(message);
  return transport_.gather(answer(task, request));
}

std::vector<Score> Rollout::score(const ScoreRequest& request) {
  std::vector<Score> scores;
  const auto all = answers(Task::score, request);
  for (std::size_t r = 0; r < all.size(); ++r) {
    const auto theirs = decode_answer<Score>(all[r], r, share_of(r, Task::score, request).second);
    stop_requested_ = stop_requested_ || theirs.stop;
    scores.insert(scores.end(), theirs.records.begin(), theirs.records.end());
  }
  return scores;
}

template <class T>
std::vector<T> Rollout::totals(Task task, const ScoreRequest& request) {
  std::vector<T> total;
  const auto all = answers(task, request);
  for (std::size_t r = 0; r < all.size(); ++r) {
    auto theirs = r == 0 ? decode_answer<T>(all[r]) : decode_answer<T>(all[r], r, total.size());
    stop_requested_ = stop_requested_ || theirs.stop;
    if (r == 0) total = std::move(theirs.records);
    else
      for (std::size_t i = 0; i < total.size(); ++i) total[i] += theirs.records[i];
  }
  return total;
}

std::vector<Moments> Rollout::moments(const ScoreRequest& request) { return totals<Moments>(Task::moments, request); }

std::vector<Histogram> Rollout::histograms(const ScoreRequest& request) {
  return totals<Histogram>(Task::histograms, request);
}

void Rollout::finish(int exit_code) {
  auto message = encode(Task::finish, exit_code, {});
  transport_.set_phase("end");
  transport_.broadcast(message);
  transport_.gather({});  // all have it: none is left that could hang while MPI ends
}

int Rollout::serve() {
  for (;;) {
    std::vector<std::byte> message;
    transport_.broadcast(message);
    const Order order = decode_order(message);
    if (order.task == Task::finish) {
      transport_.gather({});
      return order.exit_code;
    }
    transport_.set_phase(order.request.phase);
    transport_.gather(answer(order.task, order.request));
  }
}

}  // namespace triseg
