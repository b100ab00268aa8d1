// What every rank loads before a search.
#pragma once

#include "data/dataset.hpp"
#include "learner/files/model_file.hpp"
#include "network/problem.hpp"
#include "runner/given_start.hpp"
#include "runner/ranks/transport.hpp"
#include "runner/options/search_options.hpp"
#include "worker/engines/engines.hpp"
#include "worker/scorer.hpp"

#include <memory>
#include <string>

namespace triseg {

struct Inputs {
  std::shared_ptr<const Problem> problem;
  std::string model_sha256;  ///< of the teacher's file
  std::shared_ptr<const DataSet> data;
  std::shared_ptr<Scorer> scorer;  ///< refers to problem and data; its engine has passed its self-test
  EngineChoice engine{};           ///< the scorer's
  int threads = 1;
  std::shared_ptr<const GivenStart> start{};  ///< that of --start, or null
};

/// Loads inputs, and keeps the last of each kind for the next search: images, teacher, problem and scorer are loaded
/// anew only where the options name others. Files that change on disk in between are not noticed. A copy shares images,
/// teacher and problem, also with another thread, as long as neither has a scorer.
class InputsCache {
 public:
  /// Loads all but the scorer, which stays null. Throws Error naming the option, file or layer that does not fit.
  /// warn: say what is odd about images that are loaded.
  Inputs load_problem(const ProblemOptions& problem, const IterationOptions& iteration,
                      const MomentRepairOptions& repair, bool warn);

  /// Throws Error naming the option, file or layer that does not fit. GPU engines take the GPU of the rank's number on
  /// its host.
  Inputs load(const ProblemOptions& problem, const IterationOptions& iteration, const MomentRepairOptions& repair,
              const EngineOptions& engine, const Transport& transport);

 private:
  /// What was loaded, and the options that it was loaded by.
  template <class T>
  struct Kept {
    std::string key;
    std::shared_ptr<T> value;
  };
  Kept<const DataSet> data_;
  Kept<const ModelFile> teacher_;
  Kept<const Problem> problem_;
  Kept<Scorer> scorer_;  ///< keeps the problem and the images that it refers to
};

}  // namespace triseg
