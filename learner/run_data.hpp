// The content of a run in memory: what the run file stores, as plain columns.
#pragma once

#include "core/codes.hpp"
#include "core/histogram.hpp"
#include "network/network.hpp"
#include "network/quantized_network.hpp"
#include "core/score.hpp"
#include "learner/energy_table.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace triseg {

/// One site of the search.
struct SiteData {
  std::string name;
  std::string record_key;
  std::string kind;  ///< kind_name()
  CodeScale scale;
  int tmax = 0;                   ///< by the rule of calibration
  bool tmax_searched = false;     ///< tmax is a fifth code that episodes draw; `tmax` is the start's alone
  Codes init;                     ///< tmax * {1, 2, 3, 4} / 5
  Codes mse;                      ///< the per-site MSE optimum of the histogram
  Codes start;                    ///< where the search starts
  std::array<double, 4> state{};  ///< [index / (sites - 1), mean / 255, std / 128, p90 / 255]
  Histogram histogram;            ///< of calibration, exact codes before the staircase
};

/// True if tmax is drawn, of all sites or of none.
inline bool tmax_searched(std::span<const SiteData> sites) { return !sites.empty() && sites.front().tmax_searched; }

/// One of the sites' codes, such as SiteData::start: (sites).
inline std::vector<Codes> site_codes(std::span<const SiteData> sites, Codes SiteData::*which) {
  std::vector<Codes> codes;
  for (const SiteData& site : sites) codes.push_back(site.*which);
  return codes;
}

/// The numbers of the sites' nodes. Throws Error if one is no node of the network.
inline std::vector<std::size_t> site_nodes(const Network& network, std::span<const SiteData> sites) {
  std::vector<std::size_t> nodes;
  for (const SiteData& site : sites) nodes.push_back(node_index(network, site.name, "sites"));
  return nodes;
}

/// One scored draw.
struct Episode {
  std::uint64_t iteration = 0;
  double reward = 0;         ///< -(kd + attention_weight * attention)
  Score score;               ///< on the iteration's images
  std::vector<Codes> codes;  // (sites)
};

/// One policy update.
struct Update {
  std::uint64_t iteration = 0;
  std::uint64_t branch = 0;                 ///< which of --pass-shares the iteration searches for; 0 if there is one
  double pass_share = 0;                    ///< the most of the sites' activations that may pass through in it
  double mean_reward = 0, best_reward = 0;  ///< over the iteration's episodes
  double reference_reward = 0;              ///< of the start's codes on the same images
  double policy_loss = 0, value_loss = 0, entropy = 0, approx_kl = 0, clip_fraction = 0;  ///< of the last epoch
  double update_seconds = 0;     ///< wall clock of the update alone
  double iteration_seconds = 0;  ///< wall clock of the whole iteration
};

/// The policy's most probable codes, scored on the first validation images while the search goes on (--eval-every).
struct Evaluation {
  std::uint64_t iteration = 0;  ///< after this iteration's update
  Score validation;
  std::vector<Codes> codes;  // (sites)
};

/// A candidate's score while the finalists are being scored.
struct Finalist {
  Score score;                         ///< on the validation images so far
  std::vector<double> record_rewards;  // (records so far): sums of the reward over each record of split_batch images
  bool operator==(const Finalist&) const = default;
};

/// Codes named by where they come from, scored on the validation split.
struct Candidate {
  std::string
      origin;  ///< "episode", "policy" (its most probable codes), "init", "mse", "balanced-K", or "start" (of a branch)
  std::uint64_t episode = 0;  ///< meaningful if origin is "episode"
  double reward = 0;          ///< in the search; for the others that of the validation score
  Score validation;
  std::vector<Codes> codes;  // (sites)
  std::vector<double>
      record_rewards;  // (records): sums of the reward over each record of split_batch validation images
};

/// A convolution's repaired requantization.
struct LayerRepair {
  std::string layer;  ///< the node's name
  Requantization requantization;
  bool operator==(const LayerRepair&) const = default;
};

/// The student that was chosen on validation, and its one report on the test split.
struct Selected {
  std::size_t top_index = 0;         ///< row of /top
  bool within_max_acc_drop = false;  ///< on validation
  Score test;
  Score test_mse;                   ///< the MSE optimum on the same images, for comparison; without a repair
  Score test_mse_repaired;          ///< the same with its own repair; no images in a run without repair
  std::vector<LayerRepair> repair;  ///< the student's, in network order; empty in a run without repair
};

/// A tensor of the checkpoint, row-major.
struct StoredTensor {
  std::vector<std::uint64_t> shape;
  std::vector<float> values;
};

/// Everything a resume needs beside the episodes, which carry their own history.
struct Checkpoint {
  std::uint64_t next_iteration = 0;
  std::uint64_t optimizer_steps = 0;
  std::map<std::string, StoredTensor> tensors;  ///< policy parameters and optimizer moments by name
};

struct RunData {
  // What the run is. Equal for every history of kills and resumes, except for the wall-clock and placement fields
  // below.
  Network network;  ///< what every site and cost of the run is told by
  std::string backend, selection;
  std::string model_sha256;  ///< of the model file
  std::string data_sha256;   ///< DataSet::sha256
  std::uint64_t seed = 0;
  double temperature = 0, attention_weight = 0;
  std::uint64_t episodes_total = 0;  ///< the budget, or less if the strategy cannot use it
  std::string repair = "none";       ///< how students' requantization is repaired: none, layer or channel
  std::uint64_t student_images =
      0;  ///< student forwards of the search so far, starts, references, evaluations and repairs included [images]
  std::vector<std::string> attention_layers;
  EnergyTable energy;       ///< what the cost model weighs operations with
  std::string config;       ///< resolved TOML of all options
  std::string config_hash;  ///< SHA-256 [hex] over the options that change results
  // Placement and wall clock: may differ between runs that are otherwise equal.
  std::string data;  ///< DataSet::source
  std::string engine, transport, command_line;
  int ranks = 0, threads_per_rank = 0;
  bool finished = false;

  std::vector<SiteData> sites;
  std::vector<Episode> episodes;
  std::vector<Update> updates;
  std::vector<Evaluation> evaluations;
  std::vector<Finalist> finalists;  ///< empty but while finalists are scored
  std::vector<Candidate> top;       // best validation reward first; empty until finished
  Selected selected;                // meaningful when finished
  Checkpoint checkpoint;
};

}  // namespace triseg
