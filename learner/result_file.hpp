// The result of a run as JSON, with the keys of the Python original: what hardware and other programs take further.
#pragma once

#include "core/codes.hpp"
#include "core/network.hpp"
#include "learner/run_data.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace triseg {

/// Writes a finished run's selected codes (commit_file):
///   layers.<record key>.{t1_code, v1_code, t2_code, v2_code, tmax_code}  in network order, one key a line
///   backend, model
///   selection   how the codes were chosen, and their scores on the validation split
///   metrics     acc_teacher, acc_student, acc_drop on the test split [percent], KD, attention, 95 % confidence intervals
///   and the run's seed, data, model_sha256, config_hash, episodes.
/// Throws Error if the run is not finished or the file cannot be written.
void write_result(const std::filesystem::path& path, const RunData& run);

/// Reads the codes of a result file, ours or the Python original's (only `layers` is required; 14.0 counts as 14).
/// Sites of `network` that the file does not name become exact: select_sites is called with the ones it does name.
/// Returns the codes in the order of network.sites(). Throws Error naming file, key and what was expected there, also if
/// the file names a layer that is no site or another model of make_network, or if codes make no monotone staircase.
std::vector<Codes> read_result(const std::filesystem::path& path, Network& network);

/// The model that a result file names, in lower case, if it names one of make_network's. Throws Error as read_result does
/// if the file cannot be read as JSON.
std::optional<std::string> result_model(const std::filesystem::path& path);

}  // namespace triseg
