// Plain loops over (C,H,W) codes: the oracle that every other engine is compared with.
#pragma once

#include "worker/engine.hpp"

namespace triseg {

/// Runs every operation, as worker/reference_operations.hpp has them.
std::unique_ptr<Engine> make_reference_engine(const Problem& problem);

}  // namespace triseg
