// What every rank loads before a search.
#pragma once

#include "data/dataset.hpp"
#include "network/problem.hpp"
#include "runner/ranks/transport.hpp"
#include "runner/search_options.hpp"
#include "worker/scorer.hpp"

#include <memory>
#include <string>

namespace triseg {

struct Inputs {
  std::unique_ptr<Problem> problem;
  std::string model_sha256;  ///< of the teacher's file
  std::unique_ptr<DataSet> data;
  std::unique_ptr<Scorer> scorer;  ///< refers to problem and data; its engine has passed its self-test
  int threads = 1;
};

/// Throws Error naming the option, file or layer that does not fit. GPU engines take the GPU of the rank's number on
/// its host.
Inputs load_inputs(const ProblemOptions& problem, const IterationOptions& iteration, const MomentRepairOptions& repair,
                   const EngineOptions& engine, const Transport& transport);

}  // namespace triseg
