// The energies that --energy-table names.
#pragma once

#include "learner/energy_table.hpp"

#include <string>

namespace triseg {

/// The energies in a TOML file of lines name = pJ (energy_names); those it does not name, or all if the path is empty,
/// are the defaults. Throws Error naming file and key.
EnergyTable read_energy_table(const std::string& path);

}  // namespace triseg
