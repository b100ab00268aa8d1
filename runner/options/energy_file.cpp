#include "runner/options/energy_file.hpp"

#include "core/error.hpp"
#include "core/toml_file.hpp"

#include <algorithm>
#include <cstdlib>

namespace triseg {

EnergyTable read_energy_table(const std::string& path) {
  EnergyTable table;
  if (path.empty()) return table;
  for (const TomlEntry& entry : read_toml("--energy-table", path, "name = pJ")) {
    const auto known =
        std::find_if(energy_names.begin(), energy_names.end(), [&](const auto& e) { return entry.key == e.first; });
    if (known == energy_names.end()) fail("--energy-table: {}: unknown key '{}'", path, entry.key);
    const bool number = !entry.list && (entry.types.front() == TomlEntry::Type::integer ||
                                        entry.types.front() == TomlEntry::Type::real);
    const double energy = number ? std::strtod(entry.texts.front().c_str(), nullptr) : 0;
    if (!(energy >= 1e-12 && energy <= 1e12))
      fail("--energy-table: {}: key '{}': expected a number of pJ from 1e-12 to 1e+12, found {}", path, entry.key,
           entry.described());
    table.*known->second = energy;
  }
  return table;
}

}  // namespace triseg
