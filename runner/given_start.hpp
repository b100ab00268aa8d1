// Codes, and perhaps a repair, of a result file as the start of a search.
#pragma once

#include "core/codes.hpp"
#include "learner/run_data.hpp"
#include "network/problem.hpp"

#include <string>
#include <vector>

namespace triseg {

struct GivenStart {
  std::vector<Codes> codes;   ///< (sites), legal
  std::string mode = "none";  ///< of the repair
  Repair repair;              ///< empty if mode is none
};

/// The start in a result file, for the problem's sites. Throws Error naming the file if it has other sites, codes that
/// are not legal, a repair that does not fit the teacher, or one that was made with another teacher. model_sha256: of
/// the teacher's file.
GivenStart read_start(const std::string& path, const Problem& problem, const std::string& model_sha256);

/// What a start is, as text: equal for equal codes and repairs, wherever they were read.
std::string identity_of(const GivenStart& start, const Network& network);
/// The identity of the start that a run began with: of its sites' codes and, if the start brought one, of the repair in
/// its checkpoint. Without, that repair is one that the search fitted itself.
std::string start_identity(const RunData& run, bool brought_repair);

/// Gives every site the start's codes, and what follows from their tmax. Says which tmax changes.
void take_start(std::vector<SiteData>& sites, const GivenStart& start);

}  // namespace triseg
