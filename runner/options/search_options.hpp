// Every knob of a search, in the parts that commands share. runner/cli/declare_options.hpp declares them once.
#pragma once

#include "core/names.hpp"
#include "learner/judging/repair.hpp"
#include "learner/strategies/initial_codes.hpp"
#include "learner/strategies/strategies.hpp"
#include "network/problem.hpp"
#include "network/quantized_network.hpp"
#include "runner/ranks/transport.hpp"
#include "worker/engines/engines.hpp"

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace triseg {

inline constexpr Names<TmaxMode, 3> tmax_modes = {
    {{"percentile", TmaxMode::percentile}, {"fixed", TmaxMode::fixed}, {"search", TmaxMode::search}}};
inline constexpr Names<WarmStart, 4> warm_starts = {
    {{"best", WarmStart::best}, {"mse", WarmStart::mse}, {"init", WarmStart::init}, {"none", WarmStart::none}}};

/// What is searched for where tmax is searched.
enum class Objective {
  accuracy,  ///< the best reward
  coverage,  ///< the fewest activations passed through within the accuracy drop
  pareto,    ///< the trade-off of both
};
inline constexpr Names<Objective, 3> objectives = {
    {{"accuracy", Objective::accuracy}, {"coverage", Objective::coverage}, {"pareto", Objective::pareto}}};

/// How the candidates are scored at the end.
enum class FinalScoring {
  race,  ///< who cannot be selected any more goes on no further (learner/judging/race.hpp)
  all,   ///< all on all validation images
};
inline constexpr Names<FinalScoring, 2> final_scorings = {{{"race", FinalScoring::race}, {"all", FinalScoring::all}}};

/// The pass shares of objectives coverage and pareto, as multiples of what mode percentile lets pass.
inline constexpr std::array default_share_factors = {0.0, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0};

/// The network that stands where neither --model nor --teacher names one.
inline constexpr const char* default_model = "alexnet";

/// The problem: network, images, sites, and what students are compared by.
struct ProblemOptions {
  std::string model;              ///< empty: the teacher's, or default_model
  std::optional<Scheme> backend;  ///< nothing: the teacher's, or fbgemm
  std::string data = "fashion-mnist";
  std::string teacher;  ///< model file; empty: the shipped one for model, data and backend
  std::string sites = "all";
  double temperature = 2.0;
  std::string attention_layers = "default";
  double attention_weight = 0.1;
};

/// An iteration: the images of episodes and of calibration, and where the first draws are.
struct IterationOptions {
  std::uint64_t seed = 1;
  std::uint64_t episodes_per_update = 64;
  std::uint64_t update_timestep = 0;  ///< the Python original's measure, in site decisions; 0: not given
  std::uint32_t batch_size = 32;
  std::uint32_t calib_batches = 16;
  TmaxRule tmax;
};

/// What is searched for, and how the outcome is judged.
struct ObjectiveOptions {
  Objective objective = Objective::accuracy;
  std::vector<double> pass_shares;  ///< shares in 0..1; empty: the defaults of the objective
  std::uint64_t eval_every = 25;    ///< updates; 0: never
  std::string energy_table;         ///< TOML file; empty: the defaults of EnergyTable
};

/// Which candidates are scored at the end, and which of them may be selected.
struct SelectionOptions {
  std::size_t top_k = 30;
  double max_acc_drop = 1.0;  ///< percentage points
};

/// Repair by moments.
struct MomentRepairOptions {
  RepairMode mode = RepairMode::none;
  std::uint32_t images = 2048;  ///< of the search split
};

/// What executes the network.
struct EngineOptions {
  EngineKind engine = EngineKind::automatic;
  int threads = 0;  ///< scoring threads a rank; 0: the cores this rank may use, shared by its host's ranks
};

/// What joins the ranks.
struct RankOptions {
  TransportKind transport = TransportKind::automatic;
  double rank_timeout = 600;       ///< seconds
  bool dedicated_learner = false;  ///< rank 0 scores nothing
};

/// Where the files go, and how often something is written or said.
struct OutputOptions {
  std::string out = "results";
  std::string result_file;       ///< empty: MODEL.json
  double checkpoint_every = 60;  ///< seconds
  double progress_every = 10;    ///< seconds between plain progress lines
  bool quiet = false;            ///< nothing but warnings on stderr
  std::string log_json;          ///< file that the log is also written to, a JSON object a line; empty: none
  double time_limit = 0;         ///< seconds after which the search stops as by a signal; 0: none
  bool finish = false;           ///< a search that was stopped ends with the episodes that it has
};

struct SearchOptions {
  // These change the results; they make up the configuration hash.
  ProblemOptions problem;
  IterationOptions iteration;
  std::uint64_t episodes = 10000;
  std::string start;  ///< result file whose codes and repair the search starts with; empty: as strategy.start says
  StrategyOptions strategy;
  ObjectiveOptions objective;
  SelectionOptions selection;
  FinalScoring final_scoring = FinalScoring::race;
  MomentRepairOptions repair;

  // These change only where and how fast.
  EngineOptions engine;
  RankOptions ranks;
  OutputOptions output;
};

/// Fills in what follows from the network: its name and scheme, episodes_per_update from update_timestep and the number
/// of sites, the name of the result file; and from the objective, whether there is a race. Throws Error if the episodes
/// do not make an iteration for every pass share.
void complete_options(SearchOptions& options, const Problem& problem);
/// The part of it that needs no search.
void complete_options(IterationOptions& options, const Problem& problem);

/// Candidates of the final scoring, at most: the best episodes, what the strategy hands in, and starts.
std::size_t most_finalists(const SearchOptions& options);

/// True for the value of an option that does what versions did which lacked the option. Digests leave it out, so that
/// theirs are still those of the same work.
bool as_before(std::string_view option, std::string_view value);

/// The options of a command as files keep them.
struct OptionTexts {
  std::string toml;                                          ///< all that have a value, as --config reads them
  std::vector<std::pair<std::string, std::string>> results;  ///< those that change results, by name, in one normal form
  std::vector<std::pair<std::string, std::string>> others;   ///< those that change only where and how fast
};

}  // namespace triseg
