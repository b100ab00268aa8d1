#include "runner/ranks/watch.hpp"

#include "core/error.hpp"

#include <algorithm>
#include <thread>

namespace triseg {

using Clock = std::chrono::steady_clock;

double limit_of(int rank, double timeout, bool started) {
  constexpr double least_at_start = 60;
  const double own = started ? timeout : std::max(timeout, least_at_start);
  return rank == 0 ? own : 3 * own + rank;
}

void Patience::look(Time now) {
  constexpr double longest = 1;
  seconds_ += std::min(longest, std::chrono::duration<double>(now - last_).count());
  last_ = now;
}

void Watch::begin(std::string_view operation) {
  operation_ = operation;
  limit_ = limit_of(ranks_->rank(), timeout_, !phase_.empty());
  patience_.begin(Clock::now());
}

void Watch::wait(int peer, const std::function<bool()>& done) {
  constexpr auto without_pause = std::chrono::milliseconds(2);
  for (const auto start = Clock::now(); !done();) {
    const auto now = Clock::now();
    patience_.look(now);
    if (patience_.seconds() > limit_)
      fail("{}: {}: {} did not answer within {:g} s ({})", library_, operation_,
           peer == any_rank ? "another rank" : fmt::format("rank {} on host {}", peer, ranks_->host(peer)), limit_,
           phase());
    if (now - start > without_pause) std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
}

}  // namespace triseg
