// Repair by moments: a student's requantization, re-fitted so that its accumulators have the teacher's mean and spread
// again. Costs the hardware nothing: it has multiplier and bias for every channel anyway.
#pragma once

#include "core/moments.hpp"
#include "core/names.hpp"
#include "network/problem.hpp"
#include "learner/run_data.hpp"

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace triseg {

enum class RepairMode { none, layer, channel };

inline constexpr Names<RepairMode, 3> repair_modes = {
    {{"none", RepairMode::none}, {"layer", RepairMode::layer}, {"channel", RepairMode::channel}}};

/// Throws Error for any other name.
RepairMode parse_repair_mode(std::string_view name);

/// The convolutions that a repair by moments changes, in network order: those that a site's value reaches. No staircase
/// precedes the others. sites: numbers of nodes.
std::vector<std::size_t> repaired_nodes(const Network& network, std::span<const std::size_t> sites);

/// The most of them that follow one another on any way through the network: after so many fits of all of them at once,
/// each has been fitted behind those before it.
std::size_t repair_depth(const Network& network, std::span<const std::size_t> sites);

/// The repair that gives accumulators of the student's moments the teacher's mean and deviation (moment matching). With
/// the means mu of accumulators under the model's own bias and their deviations sigma over the same images, for each
/// channel:
///
///     multiplier' = multiplier * sigma_t / sigma_s       bias' = rint(bias - mu_s + mu_t * sigma_s / sigma_t)
///
/// so that multiplier' * (a + bias') is multiplier * (mu_t + sigma_t * (accumulator - mu_s) / sigma_s). In mode `layer`
/// all channels of a node share one ratio and one shift, those of their outputs y = multiplier * accumulator, in
/// codes, pooled over the channels (M: mean of their means; S^2: mean of their variances plus the variance of their
/// means):
///
///     multiplier' = multiplier * S_t / S_s               bias' = rint(bias + (M_t * S_s / S_t - M_s) / multiplier)
///
/// Where a deviation is 0, multipliers stay and the mean alone moves. bias' is kept within 2^30 of 0, and where
/// accumulators stay within 32 bits. Throws Error (check_repair) if a multiplier leaves the range of float32.
/// teacher, student: moments without bias (channels of all convolutions), as Engine::add_moments gives them; of the
/// student under a repair of the nodes before, its own node's does not matter. `mode` is not none.
Repair fit_repair(const Problem& problem, RepairMode mode, std::span<const Moments> teacher,
                  std::span<const Moments> student);

/// The convolutions of a repair by name, and back. Throws Error for one that the network does not have or that has
/// another number of channels.
std::vector<LayerRepair> layer_repairs(const Network& network, const Repair& repair);
Repair repair_of(const Network& network, std::span<const LayerRepair> layers);

/// Throws Error naming a node whose multipliers are not those of the model times one factor, up to rounding: a repair
/// of mode `layer` promises hardware that they are.
void check_one_factor(const QuantizedNetwork& model, const Repair& repair);

/// The repair of a checkpoint, in two tensors: repair/multiplier (repaired channels) and repair/bias (channels, 2),
/// whose floor(bias / 2^16) and rest are exact in f32.
void store_repair(Checkpoint& checkpoint, const Problem& problem, const Repair& repair);
/// Nothing if there is none. Throws Error if a tensor is missing or of another shape.
std::optional<Repair> stored_repair(const Checkpoint& checkpoint, const Problem& problem);

}  // namespace triseg
