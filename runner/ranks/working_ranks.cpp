#include "runner/ranks/working_ranks.hpp"

#include "core/text.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <utility>

namespace triseg {
namespace {

constexpr std::size_t turns = 3;
constexpr double clearly = 1.2;

std::size_t half(std::size_t ranks) { return (ranks + 1) / 2; }

double least(const std::vector<double>& seconds) { return *std::min_element(seconds.begin(), seconds.end()); }

}  // namespace

WorkingRanks::WorkingRanks(std::size_t ranks)
    : ranks_(ranks), more_(ranks), fewer_(half(ranks)), decided_(ranks == 1) {}

std::size_t WorkingRanks::of_iteration(std::size_t items) {
  if (!std::exchange(begun_, true) && items < ranks_) {
    more_ = std::max<std::size_t>(items, 1);
    fewer_ = half(more_);
    decided_ = more_ == 1;
    news_ = fmt::format("{} of {} score: an iteration has no more candidates", more_, counted(ranks_, "rank"));
  }
  const bool try_fewer = !decided_ && warm_ && with_fewer_.size() < with_more_.size();
  return try_fewer ? fewer_ : more_;
}

std::size_t WorkingRanks::of_images(std::uint64_t images) const {
  if (!decided_ || more_ == ranks_ || images_ == 0) return ranks_;
  return std::clamp<std::uint64_t>(images * more_ / images_, 1, ranks_);
}

void WorkingRanks::took(std::uint64_t images, double seconds) {
  if (images_ == 0) images_ = images;
  if (decided_ || images != images_) return;
  if (!std::exchange(warm_, true)) return;
  (with_fewer_.size() < with_more_.size() ? with_fewer_ : with_more_).push_back(seconds);
  compare();
}

void WorkingRanks::compare() {
  if (with_fewer_.empty() || with_fewer_.size() > with_more_.size()) return;
  const double a = least(with_more_), b = least(with_fewer_);
  if (with_fewer_.size() < turns && !(with_fewer_.size() == 1 && b > clearly * a)) return;
  if (b < a) {
    news_ = fmt::format("{} of {} score: more did not pay ({:.3g} ms an iteration with {}, {:.3g} ms with {})", fewer_,
                        counted(ranks_, "rank"), 1e3 * a, more_, 1e3 * b, fewer_);
    more_ = fewer_;
    fewer_ = half(more_);
    with_more_ = std::exchange(with_fewer_, {});
    decided_ = more_ == 1;
  } else {
    decided_ = true;
  }
}

std::optional<std::string> WorkingRanks::news() { return decided_ ? std::exchange(news_, std::nullopt) : std::nullopt; }

}  // namespace triseg
