// The result of a run as JSON, with the keys of the Python original: what hardware and other programs take further.
#pragma once

#include "core/codes.hpp"
#include "network/network.hpp"
#include "core/score.hpp"
#include "learner/run_data.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace triseg {

/// JSON nested deeper than this is refused: what reads and prints it is recursive.
inline constexpr int deepest_json = 64;

/// A finished run's selected codes as the text of a result file:
///   layers.<site name>.{t1_code, v1_code, t2_code, v2_code, tmax_code, record_key}  in network order, one key a line
///   backend, model
///   selection   how the codes were chosen, a string
///   selected    the candidate that was chosen, and its scores on the validation split
///   metrics     acc_teacher, acc_student, acc_drop on the test split [percent], KD, attention, 95 % confidence
///               intervals
///   repair      mode, and with a repair layers.<node>.{multiplier, bias}, arrays over the channels
///   and the run's seed, data, data_sha256, temperature, attention_layers, model_sha256, config_hash, episodes,
///   student_images.
/// Text is made valid UTF-8 (core/text.hpp): a path of other bytes is to be given again with --data.
/// Throws Error if the run is not finished.
std::string result_text(const RunData& run);

/// Writes the codes of any candidate of a finished run's /top in the same way, without `metrics`: the search scores the
/// selected student alone on the test split. Throws Error if the run is not finished, has no such candidate, or the
/// file cannot be written.
void write_candidate(const std::filesystem::path& path, const RunData& run, std::size_t top_index);

/// The same of any episode, of a run that need not be finished: `selected` has its score on the images of its
/// iteration. Throws Error if there is no such episode, or the file cannot be written.
void write_episode(const std::filesystem::path& path, const RunData& run, std::size_t episode);

/// The sites that a result file names, and their codes.
struct SiteCodes {
  std::vector<std::size_t> sites;  ///< numbers of nodes, ascending
  std::vector<Codes> codes;        ///< (sites)
};

/// A student's repair as a result file has it.
struct StoredRepair {
  std::string mode = "none";
  Repair repair;  ///< empty if mode is none
};

/// What a temperature may be, in result files and options.
inline constexpr double least_temperature = 1e-12, largest_temperature = 1e12;

/// Where a result comes from, as far as the file says; the Python original says only model and backend.
struct ResultOrigin {
  std::optional<std::string> model;  ///< in lower case
  std::optional<std::string> backend;
  std::optional<std::string> data;              ///< as --data takes it
  std::optional<std::string> attention_layers;  ///< names separated by commas, or "none"
  std::optional<double> temperature;
  std::string model_sha256, data_sha256, config_hash;  ///< empty if the file does not say
};

/// A result file, ours or the Python original's, read and parsed once. All errors name file, key and what was expected
/// there.
class ResultFile {
 public:
  /// Throws Error if the file cannot be read or is no JSON object, if a key is given twice, or if the temperature is
  /// none.
  explicit ResultFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  /// The file's bytes.
  const std::string& text() const { return text_; }
  const ResultOrigin& origin() const { return origin_; }

  /// The codes of the sites that the file names, plainly ("conv1") or by their record key ("block_output.conv1"); 14.0
  /// counts as 14. Throws Error if there are none, if a key is no site of the network or two are of one, or if codes
  /// make no monotone staircase.
  SiteCodes codes(const Network& network) const;

  /// The same in the order of the file, by the names that stand there: of no network in particular. Throws Error if
  /// there are none, or if codes make no monotone staircase.
  std::vector<std::pair<std::string, Codes>> named_codes() const;

  /// The repair; none if the file has none. Throws Error also if one is of no convolution of the network's.
  StoredRepair repair(const Network& network) const;

  /// The episodes of the search that it is of; 0 if the file does not say.
  std::uint64_t episodes() const;

  /// What made the repair, if write_repaired wrote the file; else empty.
  std::string repair_description() const;

 private:
  struct Content;  // the JSON
  std::filesystem::path path_;
  std::string text_;
  std::shared_ptr<const Content> content_;
  ResultOrigin origin_;
};

/// A repair trained for a result's codes (trainer/repair_training.hpp).
struct TrainedRepair {
  // The student that it is for, as write_result has them.
  std::string model, backend, data, data_sha256, model_sha256, attention_layers;
  double temperature = 0;

  std::string mode;  ///< layer or channel
  Repair repair;
  std::string description;  ///< options and digests that make it
  std::string command_line;
  std::uint64_t student_images = 0;      ///< that it was trained on, each as often as it was seen
  Score before, validation, test;        ///< validation split without and with it, test split with it
  double passed_before = 0, passed = 0;  ///< shares of the sites' activations on validation that pass through
};

/// Writes a result (its text) with this repair, the metrics of the repaired student and what they were measured with
/// (commit_file). `selection` and `selected` remain, they tell how the codes were found; `cost`, which is of another
/// student, does not. The training is described in repair.training. Throws Error if the file cannot be written.
void write_repaired(const std::filesystem::path& path, const std::string& result, const Network& network,
                    const TrainedRepair& trained);

}  // namespace triseg
