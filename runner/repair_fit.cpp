#include "runner/repair_fit.hpp"

#include <utility>

namespace triseg {

std::vector<Moments> RepairFit::measure(const std::vector<Codes>& codes, const Repair& repair) {
  ScoreRequest request = image_range(Split::search, split_batch, 0, images_, "repair");
  request.candidates = {codes};
  request.repairs = {repair};
  request.repair_of = {0};
  return rollout_.moments(request);
}

bool RepairFit::pass(const std::vector<Codes>& codes, Repair& repair) {
  if (teacher_.empty()) teacher_ = measure({}, {});
  Repair fitted = fit_repair(problem_, mode_, teacher_, measure(codes, repair));
  std::swap(repair, fitted);
  return repair != fitted;
}

Repair RepairFit::fit(const std::vector<Codes>& codes, std::uint64_t& images_run) {
  Repair repair;
  bool changed = true;
  for (std::size_t p = 0; p < most_passes() && changed; ++p) {
    changed = pass(codes, repair);
    images_run += images_;
  }
  return repair;
}

}  // namespace triseg
