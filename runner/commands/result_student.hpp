// The student of a result file, with its teacher and its images: what evaluate and repair start from.
#pragma once

#include "core/codes.hpp"
#include "data/dataset.hpp"
#include "learner/files/result_file.hpp"
#include "network/problem.hpp"
#include "runner/options/search_options.hpp"
#include "worker/scorer.hpp"

#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace triseg {

/// A result file, and what the command line says in place of it. Empty or 0: what the result file says, else a search's
/// default.
struct StudentOptions {
  std::string command;  ///< the subcommand, for messages
  std::string result;
  std::string model, data, attention_layers, teacher;
  std::optional<Scheme> backend;
  double temperature = 0;
};

void declare_student_options(CLI::App& app, StudentOptions& options);

struct ResultStudent {
  ResultFile file;
  DataSet data;
  Problem problem;           ///< the teacher, with the result's sites and the attention layers asked for
  std::string model_sha256;  ///< of the teacher's file
  std::filesystem::path model_path;
  std::vector<Codes> codes;  ///< (sites)
  StoredRepair repair;       ///< the result's own
};

/// Loads it all and fills in what the options left open. Throws Error, or CLI::ParseError if no result file is named;
/// also if the result was found with another teacher, unless that was asked for and the result has no repair. Warns of
/// that, and of other images.
ResultStudent load_student(StudentOptions& options);

/// A repair that is fitted here, in place of the result file's own.
struct FittedRepairOptions {
  std::optional<RepairMode> mode;  ///< nothing: the default of the command
  std::uint32_t images = MomentRepairOptions{}.images;
};

/// --repair and --repair-images. otherwise: what stands for no --repair, for its help.
void declare_fitted_repair(CLI::App& app, FittedRepairOptions& options, const std::string& otherwise);

/// Throws Error if --repair-images was given without a mode. given: options of the command line, without dashes.
void check(const FittedRepairOptions& options, const std::set<std::string>& given);

/// The repair of these codes (sites), fitted on the first images of the search split; none without a mode. Throws Error
/// if the split has fewer.
StoredRepair fit_repair(const ResultStudent& student, const std::vector<Codes>& codes,
                        const FittedRepairOptions& options, Scorer& scorer);

/// All images of a split for one student.
ScoreRequest whole_split(const ResultStudent& student, Split split, const Repair& repair);

/// The share of a request's activations, before pooling, that passes through the sites of its first candidate.
double passed_in(Scorer& scorer, const ScoreRequest& request);

/// The sum over a request's images.
Score total_score(Scorer& scorer, const ScoreRequest& request);

}  // namespace triseg
