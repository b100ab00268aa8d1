#include "worker/engine.hpp"

#include "core/error.hpp"

namespace triseg {

OwnedForwardResult::OwnedForwardResult(const ForwardResult& result)
    : logit_codes(result.logit_codes.begin(), result.logit_codes.end()) {
  for (const auto& map : result.attention) attention.emplace_back(map.begin(), map.end());
}

ForwardResult OwnedForwardResult::view() const { return {logit_codes, {attention.begin(), attention.end()}}; }

Student teacher(const Network& network) { return {std::vector<Table>(network.sites().size(), identity_table()), {}}; }

Student student(const Network& network, std::span<const Codes> codes, Repair repair) {
  const auto sites = network.sites();
  if (codes.size() != sites.size()) fail("{} codes for the {} sites of {}", codes.size(), sites.size(), network.display_name);
  Student result;
  for (const Codes& c : codes) result.tables.push_back(staircase(c));
  result.requantization = std::move(repair);
  return result;
}

}  // namespace triseg
