// Failures of MPI calls.
#pragma once

#include <string_view>

namespace triseg {

/// Turns an MPI return code into an Error that names the operation.
void check_mpi(int code, std::string_view operation);

}  // namespace triseg
