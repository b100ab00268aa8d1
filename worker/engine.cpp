#include "worker/engine.hpp"

#include "core/error.hpp"

namespace triseg {

OwnedForwardResult::OwnedForwardResult(const ForwardResult& result)
    : logit_codes(result.logit_codes.begin(), result.logit_codes.end()) {
  for (const auto& map : result.attention) attention.emplace_back(map.begin(), map.end());
}

ForwardResult OwnedForwardResult::view() const { return {logit_codes, {attention.begin(), attention.end()}}; }

Student teacher(const Problem& problem) { return {std::vector<Table>(problem.sites.size(), identity_table()), {}}; }

Student student(const Problem& problem, std::span<const Codes> codes, Repair repair) {
  if (codes.size() != problem.sites.size())
    fail("{} codes for the {} sites of {}", codes.size(), problem.sites.size(), problem.network().display_name);
  Student result;
  for (const Codes& c : codes) result.tables.push_back(staircase(c));
  result.requantization = std::move(repair);
  return result;
}

}  // namespace triseg
