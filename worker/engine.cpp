#include "worker/engine.hpp"

#include "core/error.hpp"
#include "worker/onednn_engine.hpp"
#include "worker/reference_engine.hpp"

namespace triseg {
namespace {

struct EngineEntry {
  std::string_view name;
  std::unique_ptr<Engine> (*make)(const QuantizedNetwork&);
};

/// Fastest first: "auto" takes the first.
constexpr EngineEntry engines[] = {
#ifdef TRISEG_HAVE_ONEDNN
    {"onednn", make_onednn_engine},
#endif
    {"reference", make_reference_engine},
};

}  // namespace

Student teacher(const Network& network) { return {std::vector<Table>(network.sites().size(), identity_table()), {}}; }

Student student(const Network& network, std::span<const Codes> codes) {
  const auto sites = network.sites();
  if (codes.size() != sites.size()) fail("{} codes for the {} sites of {}", codes.size(), sites.size(), network.display_name);
  Student result;
  for (const Codes& c : codes) result.tables.push_back(staircase(c));
  return result;
}

std::vector<std::string_view> engine_names() {
  std::vector<std::string_view> names;
  for (const auto& entry : engines) names.push_back(entry.name);
  return names;
}

std::unique_ptr<Engine> make_engine(std::string_view name, const QuantizedNetwork& network) {
  for (const auto& entry : engines)
    if (name == "auto" || name == entry.name) return entry.make(network);
  fail("unknown engine '{}': expected auto, {}", name, fmt::join(engine_names(), ", "));
}

}  // namespace triseg
