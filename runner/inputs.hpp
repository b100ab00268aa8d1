// What every rank loads before a search.
#pragma once

#include "data/dataset.hpp"
#include "learner/files/model_file.hpp"
#include "runner/search_options.hpp"
#include "runner/ranks/transport.hpp"
#include "worker/scorer.hpp"

#include <memory>

namespace triseg {

struct Inputs {
  std::unique_ptr<ModelFile> model;
  std::unique_ptr<DataSet> data;
  std::unique_ptr<Scorer> scorer;  ///< refers to model and data; its engine has passed its self-test
  int threads = 1;
};

/// Throws Error naming the option, file or layer that does not fit. GPU engines take the GPU of the rank's number on its host.
Inputs load_inputs(const SearchOptions& options, const Transport& transport);

}  // namespace triseg
