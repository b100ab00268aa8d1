// What runs of a sweep are compared by.
#pragma once

#include "learner/run_data.hpp"

#include <array>
#include <cstddef>

namespace triseg {

inline constexpr std::size_t figures = 5;

/// The selected student of a finished run, on the validation split: KD [nats], accuracy [percent], accuracy drop
/// [percentage points]; then its coverage [share] and the energy of its inference [pJ].
using Figures = std::array<double, figures>;

/// The figures of a finished run.
Figures figures_of(const RunData& run);

}  // namespace triseg
