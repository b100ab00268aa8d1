// Every knob of a search, declared once: this declaration makes the command line, the TOML file, the help, the
// configuration stored in the run file, and its hash.
#pragma once

#include "learner/energy_table.hpp"
#include "learner/strategies/initial_codes.hpp"
#include "learner/strategies/ppo.hpp"
#include "learner/judging/repair.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace triseg {

/// Shares of activations that may pass, in objectives coverage and pareto, as multiples of what mode percentile lets pass.
inline constexpr std::array default_share_factors = {0.0, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0};

struct SearchOptions {
  // These change the results; they make up the configuration hash.
  std::string model = "alexnet";
  std::string backend = "fbgemm";
  std::string data = "fashion-mnist";
  std::string teacher;               ///< model file; empty: the shipped one for model, data and backend
  std::string sites = "all";
  std::uint64_t seed = 1;
  std::uint64_t episodes = 10000;
  std::uint64_t episodes_per_update = 64;
  std::uint64_t update_timestep = 0; ///< the Python original's measure, in site decisions; 0: not given
  std::uint32_t batch_size = 32;
  std::uint32_t calib_batches = 16;
  double temperature = 2.0;
  std::string attention_layers = "default";
  double attention_weight = 0.1;
  std::string tmax_mode = "percentile";
  TmaxRule tmax;                     ///< its mode follows tmax_mode
  std::string objective = "accuracy";
  std::string pass_shares = "default";
  std::vector<double> pass_list;     ///< shares, follows pass_shares; empty: the defaults
  std::string strategy = "ppo";
  std::string warm_start = "best";
  PpoOptions ppo;                    ///< its warm_start follows warm_start
  std::size_t top_k = 30;
  double max_acc_drop = 1.0;         ///< percentage points
  std::uint64_t eval_every = 25;     ///< updates; 0: never
  std::string energy_table;          ///< TOML file; empty: the defaults of EnergyTable
  std::string repair = "none";
  RepairMode repair_mode = RepairMode::none;  ///< follows repair
  std::uint32_t repair_images = 2048;

  // These change only where and how fast.
  std::string out = "results";
  std::string result_file;           ///< empty: MODEL.json
  std::string engine = "auto";
  std::string transport = "auto";
  double rank_timeout = 600;         ///< seconds
  bool dedicated_learner = false;    ///< rank 0 scores nothing
  int threads = 0;                   ///< scoring threads a rank; 0: the cores this rank may use, shared by its host's ranks
  double checkpoint_every = 60;      ///< seconds
  double progress_every = 10;        ///< seconds between plain progress lines
};

/// Declares all options on `app`, bound to `options`, in two groups as above.
void declare_options(CLI::App& app, SearchOptions& options);

/// Throws Error for an option of the command line that another makes meaningless, say --clip with --strategy cma-es. `given`: names of
/// the options of the command line (given_options); a configuration file may hold what only some searches use. Call it after
/// resolve_options.
void check_meaning(const SearchOptions& options, const std::set<std::string>& given);

/// The options that the command line gave, by name without dashes. Call it before apply_config_file.
std::set<std::string> given_options(const CLI::App& app);

/// Fills in from --config what the command line did not give. Call it when the command line has been parsed. Throws Error
/// naming file and key if the file cannot be read, a key is unknown, or its value is not what the option takes.
void apply_config_file(CLI::App& app);

/// Checks what can be checked without reading a file, and fills in what follows from other options (the enumerations,
/// result_file, episodes_per_update from update_timestep and the number of sites of the network that model and sites
/// select). Throws Error naming the option and what it takes.
void resolve_options(SearchOptions& options);

/// The options that change results, by name, with their values in one normal form (numbers in shortest decimal form).
/// Call it after resolve_options. Teacher and data set stand here by their content's digests, not by their paths,
/// the energy table by its values.
std::map<std::string, std::string> result_configuration(const CLI::App& app, const SearchOptions& options,
                                                        const std::string& model_sha256, const std::string& data_sha256,
                                                        const EnergyTable& energy);

/// The energies in a TOML file of lines name = pJ (energy_names); those it does not name, or all if the path is empty, are the
/// defaults. Throws Error naming file and key.
EnergyTable read_energy_table(const std::string& path);

/// "key=value" lines of a configuration: what the configuration hash is taken over.
std::string configuration_text(const std::map<std::string, std::string>& configuration);

/// All options that have a value as TOML, as --config reads them. Call it after resolve_options.
std::string configuration_toml(const CLI::App& app, const SearchOptions& options);

/// The options that change results and stand with another value in `toml`, as "--key (old instead of new)". Teacher, data
/// and energy table are left out: their paths say nothing.
std::vector<std::string> differing_keys(const std::string& toml, const CLI::App& app, const SearchOptions& options);

}  // namespace triseg
