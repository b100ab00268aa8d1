#include "learner/judging/sensitivity.hpp"

#include <algorithm>
#include <numeric>

namespace triseg {

std::vector<std::vector<Codes>> sensitivity_students(std::span<const Codes> codes) {
  const std::vector<Codes> all(codes.begin(), codes.end()), exact(codes.size());
  std::vector<std::vector<Codes>> students{all};
  for (std::size_t i = 0; i < codes.size(); ++i) students.push_back(exact), students.back()[i] = codes[i];
  for (std::size_t i = 0; i < codes.size(); ++i) students.push_back(all), students.back()[i] = Codes{};
  return students;
}

Sensitivity sensitivity(std::span<const Score> records, std::size_t sites) {
  const std::size_t students = 1 + 2 * sites, count = records.size() / students;
  const std::vector<Score> totals = totals_of(records, students);
  const auto kd_sums = [&](std::size_t student) {
    std::vector<double> sums(count);
    for (std::size_t r = 0; r < count; ++r) sums[r] = records[r * students + student].kd;
    return sums;
  };
  const std::uint64_t images = totals.front().images;
  const std::vector<double> zeros(count, 0.0), all = kd_sums(0);
  Sensitivity result{totals.front(), reward_difference(all, zeros, images), {}};
  for (std::size_t i = 0; i < sites; ++i) {
    const std::vector<double> alone = kd_sums(1 + i), without = kd_sums(1 + sites + i);
    result.sites.push_back({totals[1 + i], totals[1 + sites + i], reward_difference(alone, zeros, images),
                            reward_difference(without, zeros, images), reward_difference(all, without, images)});
  }
  return result;
}

std::vector<std::size_t> ranked(const Sensitivity& sensitivity) {
  std::vector<std::size_t> order(sensitivity.sites.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return sensitivity.sites[a].kd_alone.mean > sensitivity.sites[b].kd_alone.mean;
  });
  return order;
}

}  // namespace triseg
