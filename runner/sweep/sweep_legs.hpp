// What is done of a sweep's runs, by their files, and what is to be done next.
#pragma once

#include "runner/sweep/sweep_folder.hpp"
#include "runner/sweep/sweep_halving.hpp"
#include "runner/sweep/sweep_place.hpp"
#include "runner/sweep/sweep_table.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace triseg {

/// A run, and how far it goes now.
struct Leg {
  std::size_t run = 0;     ///< SweepTable::runs
  std::uint64_t rung = 0;  ///< [episodes]; 0: to its end
};

/// "RUN RUNG ..." for other ranks.
std::string text_of(const std::vector<Leg>& legs);
/// The legs of such a text.
std::vector<Leg> legs_in(const std::string& text);

/// The runs that this sweep is to do, by their index.
std::vector<std::size_t> own_runs(const SweepTable& table, const SweepPlace& place);

/// True if nothing is left to do of the run: it is finished, and what follows from it is written.
bool is_done(const SweepFolder& folder, const std::string& id);

/// Throws Error if a finished run was done with other options than those that it stands for.
void check_configurations(const SweepFolder& folder, const SweepTable& table, const std::vector<std::size_t>& own);

/// Throws Error if a finished run was done with other files than those that the options of the sweep name now.
void check_done(const SweepFolder& folder, const SweepTable& table, const std::vector<std::size_t>& own);

/// Runs in the folder that are not in the table: of a sweep file that has changed, or of another version.
std::size_t runs_beside(const SweepFolder& folder, const SweepTable& table);

/// What is done already, in words that change with every commit: "3 of 18 runs finished, ..."; empty if there is
/// nothing.
std::string progress_of(const SweepFolder& folder, const SweepTable& table, const std::vector<std::size_t>& own);

/// What is to be done before the next rungs are decided. again: after others, by the same sweep.
std::vector<Leg> next_legs(const SweepFolder& folder, const SweepTable& table, const std::vector<std::size_t>& own,
                           const std::vector<Standing>& standings, bool again);

}  // namespace triseg
