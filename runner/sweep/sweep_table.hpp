// A sweep: one search for every combination of options.
#pragma once

#include "runner/options/search_options.hpp"
#include "core/toml_file.hpp"

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

namespace triseg {

/// An option and the values it takes, one after the other.
struct SweepAxis {
  std::string key;                ///< the option's name without dashes
  std::vector<TomlEntry> values;  ///< of this key, one value each
};

/// Values that are drawn anew for every run: from a list, or from a range.
struct RandomAxis {
  std::string key;
  std::vector<TomlEntry> choices;  ///< empty: a range
  double least = 0, most = 0;      ///< both may be drawn
  bool logarithmic = false;        ///< uniform in the logarithm
  bool whole = false;              ///< whole numbers
};

/// Early stopping by synchronous successive halving (Jamieson and Talwalkar, AISTATS 2016): runs are compared when they
/// have scored so many episodes, and only the best go on.
struct Halving {
  std::vector<std::uint64_t> rungs;  ///< the episodes, ascending; none: no run is stopped
  std::uint64_t eta = 2;             ///< of n runs of a bracket the best ceil(n / eta) go on
  std::vector<std::string> by;       ///< options, each combination of whose values is a bracket; none: there is one
};

/// What a sweep file says.
struct SweepSpec {
  std::string name;                          ///< of the file, for messages
  std::vector<TomlEntry> base;               ///< options of all runs; a later entry gives way to an earlier one
  std::vector<SweepAxis> grid;               ///< every combination
  std::vector<std::vector<SweepAxis>> zips;  ///< lists side by side, of equal length in each
  std::vector<RandomAxis> random;
  std::uint64_t draws = 1, draw_seed = 1;  ///< draws of `random`, and the seed of them
  std::uint64_t seeds = 0;                 ///< seeds 1 .. seeds for each; 0: the base says it
  Halving halving;
};

/// One search of the sweep.
struct SweepRun {
  std::string id;                   ///< 12 hexadecimal digits of the SHA-256 over its options that change results
  std::vector<TomlEntry> options;   ///< as a configuration file has them
  std::vector<std::string> varied;  ///< (SweepTable::varied) their values here
  SearchOptions search;             ///< the options as a search has them
  /// Student images of its final scoring, at most: all candidates on validation, and the report on the test split.
  std::uint64_t most_final_images = 0;    // 0 until look_at_inputs
  std::string model_sha256, data_sha256;  ///< of what it loads; empty until look_at_inputs
  std::size_t bracket = 0;                ///< which runs it is compared with: those of the same number
};

struct SweepTable {
  std::vector<std::string> varied;  ///< the options that differ between runs: names without dashes
  std::vector<SweepRun> runs;       ///< no two of the same configuration
  std::size_t points = 0;           ///< combinations, equal ones counted each
  std::string file;                 ///< SweepSpec::name
  Halving halving;
  std::size_t repeats = 0;          ///< runs that differ from another only in options without effect there
  std::set<std::string> no_effect;  ///< those options and what they need: "--clip needs --strategy ppo"
};

/// Reads a sweep file (docs/sweep.md). Throws Error naming file, section and key.
SweepSpec read_sweep(const std::filesystem::path& path);

/// The runs of a sweep. The first axis of the grid changes slowest; then the groups of [[zip]], the draws and the
/// seeds. Depends on nothing but the sweep. Throws Error naming the key, or the run, whose options are impossible.
SweepTable make_table(const SweepSpec& spec);

/// What to say of the table's repeats; empty if it has none.
std::string repeats_text(const SweepTable& table);

/// A run for messages: "FILE: run with strategy = ppo, seed = 1", or the file alone where nothing varies.
std::string place_of(const SweepTable& table, const SweepRun& run);

/// Rows of cells as lines, columns aligned by blanks. Every row has as many cells.
std::string aligned(const std::vector<std::vector<std::string>>& rows);

/// The options as the text of a configuration file.
std::string toml_text(const std::vector<TomlEntry>& options);

}  // namespace triseg
