#include "runner/repair_fit.hpp"

#include <numeric>

namespace triseg {

std::vector<Moments> RepairFit::measure(const std::vector<std::vector<Codes>>& codes, const std::vector<Repair>& repairs) {
  ScoreRequest request{Split::search, split_batch, std::vector<std::uint32_t>(images_), codes, repairs,
                       std::vector<std::uint32_t>(repairs.size()), "repair"};
  std::iota(request.images.begin(), request.images.end(), 0u);
  std::iota(request.repair_of.begin(), request.repair_of.end(), 0u);
  return rollout_.moments(request);
}

bool RepairFit::pass(const std::vector<std::vector<Codes>>& codes, std::vector<Repair>& repairs) {
  if (teacher_.empty()) teacher_ = measure({{}}, {});
  const std::vector<Moments> students = measure(codes, repairs);
  bool changed = false;
  for (std::size_t s = 0; s < codes.size(); ++s) {
    Repair fitted = fit_repair(model_, mode_, teacher_, std::span(students).subspan(s * teacher_.size(), teacher_.size()));
    changed = changed || fitted != repairs[s];
    repairs[s] = std::move(fitted);
  }
  return changed;
}

Repair RepairFit::fit(const std::vector<Codes>& codes, std::uint64_t& images_run) {
  std::vector<Repair> repairs(1);
  bool changed = true;
  for (std::size_t p = 0; p < most_passes() && changed; ++p) {
    changed = pass({codes}, repairs);
    images_run += images_;
  }
  return std::move(repairs.front());
}

}  // namespace triseg
