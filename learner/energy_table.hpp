// Energies of a processor's operations: what the cost model weighs operations with.
#pragma once

#include <array>
#include <utility>

namespace triseg {

/// Energies [pJ]. The defaults are those of 45 nm at 0.9 V (Horowitz, "Computing's energy problem", ISSCC 2014).
struct EnergyTable {
  double add8 = 0.03;         ///< 8-bit integer addition
  double add32 = 0.1;         ///< 32-bit integer addition
  double multiply8 = 0.2;     ///< 8-bit integer multiplication
  double multiply32 = 3.1;    ///< 32-bit integer multiplication
  double sram_read64 = 10.0;  ///< reading 64 bits from 8 KB of SRAM

  bool operator==(const EnergyTable&) const = default;
};

/// The energies by the names they have in files.
inline constexpr std::array<std::pair<const char*, double EnergyTable::*>, 5> energy_names = {{
    {"add8", &EnergyTable::add8},
    {"add32", &EnergyTable::add32},
    {"multiply8", &EnergyTable::multiply8},
    {"multiply32", &EnergyTable::multiply32},
    {"sram_read64", &EnergyTable::sram_read64},
}};

}  // namespace triseg
