// One search, from its options to its files.
#pragma once

#include "learner/run_data.hpp"
#include "runner/inputs.hpp"
#include "runner/ranks/transport.hpp"
#include "runner/run_start.hpp"
#include "runner/search.hpp"
#include "runner/options/search_options.hpp"

#include <functional>
#include <string_view>

namespace triseg {

/// Called on rank 0 when a run is finished and its files are written.
using OnFinished = std::function<void(const RunData&, const RunFiles&)>;

/// Starts or continues the run of these options on all ranks of the transport, to its end, to a stop signal, or to the
/// pause, if not null. Every rank calls it with the same options. Returns what Search::run does. Throws SharedError for
/// what is found before the search, and Error, on one rank alone, for what fails later. gradients: empty but in the
/// program that has them.
int run_search(Transport& transport, const DescribeOptions& describe, SearchOptions& options, InputsCache& cache,
               const OnFinished& finished, const Pause* pause = nullptr, const GradientMaker& gradients = {});

}  // namespace triseg
