#include "runner/ranks/rollout.hpp"

#include "runner/ranks/signals.hpp"

#include <algorithm>
#include <chrono>

namespace triseg {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

std::uint64_t student_images(const ScoreRequest& request) { return request.images.size() * request.candidates.size(); }

}  // namespace

std::size_t Rollout::units(Task task, const ScoreRequest& request) {
  return task == Task::histograms ? request.batches() : request.items();
}

std::pair<std::size_t, std::size_t> Rollout::share_of(std::size_t rank, std::size_t units, std::size_t working) const {
  const auto begin = [&](std::size_t r) {
    const std::size_t worker = r < idle_ranks_ ? 0 : std::min(r - idle_ranks_, working);
    return units * worker / working;
  };
  return {begin(rank), begin(rank + 1) - begin(rank)};
}

std::vector<std::byte> Rollout::answer(Task task, const ScoreRequest& request, std::size_t working) {
  const auto [first, count] = share_of(transport_.rank(), units(task, request), working);
  const auto start = Clock::now();
  const auto encoded = [&](const auto& records) {
    return encode_answer(stop_signal_received(), seconds_since(start), records);
  };
  switch (task) {
    case Task::score: return encoded(scorer_.score(request, first, count));
    case Task::moments: return encoded(scorer_.moments(request, first, count));
    case Task::histograms: return encoded(scorer_.histograms(request, first, count));
    case Task::finish: break;
  }
  return {};
}

std::vector<std::vector<std::byte>> Rollout::answers(Task task, const ScoreRequest& request, std::size_t working) {
  auto message = encode(task, static_cast<std::uint32_t>(working), request);
  transport_.set_phase(request.phase);
  transport_.broadcast(message);
  return transport_.gather(answer(task, request, working));
}

void Rollout::note(std::size_t rank, bool stop, double seconds) {
  stop_requested_ = stop_requested_ || stop;
  busy_seconds_[rank] += seconds;
}

std::vector<Score> Rollout::score_with(const ScoreRequest& request, std::size_t working) {
  std::vector<Score> scores;
  const auto all = answers(Task::score, request, working);
  for (std::size_t r = 0; r < all.size(); ++r) {
    const auto theirs = decode_answer<Score>(all[r], r, share_of(r, request.items(), working).second);
    note(r, theirs.stop, theirs.seconds);
    scores.insert(scores.end(), theirs.records.begin(), theirs.records.end());
  }
  return scores;
}

std::vector<Score> Rollout::score(const ScoreRequest& request) {
  return score_with(request, working_ranks_.of_images(student_images(request)));
}

std::vector<Score> Rollout::score_iteration(const ScoreRequest& request) {
  const auto start = Clock::now();
  auto scores = score_with(request, working_ranks_.of_iteration(request.items()));
  working_ranks_.took(student_images(request), seconds_since(start));
  return scores;
}

template <class T>
std::vector<T> Rollout::totals(Task task, const ScoreRequest& request) {
  std::vector<T> total;
  const auto all = answers(task, request, working_ranks_.of_images(student_images(request)));
  for (std::size_t r = 0; r < all.size(); ++r) {
    auto theirs = r == 0 ? decode_answer<T>(all[r]) : decode_answer<T>(all[r], r, total.size());
    note(r, theirs.stop, theirs.seconds);
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
  auto message = encode_finish(exit_code);
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
    transport_.gather(answer(order.task, order.request, order.working));
  }
}

}  // namespace triseg
