// Sums of products on the matrix unit of Intel's AMX (tiles of 16 rows of 64 bytes).
#pragma once

#include "worker/cpu/dot_kernels.hpp"

namespace triseg {

/// True if this CPU has AMX-INT8 and the system lets the process use it. Asks the system for that.
bool amx_usable();

/// DotKernels::run. A tile of codes holds the windows of 16 neighbouring positions, 64 bytes of a run each; up to
/// codes_slack bytes behind the codes are read, for which weights are 0. The configuration of tiles is left as it was.
void run_amx(const DotPass& pass);

}  // namespace triseg
