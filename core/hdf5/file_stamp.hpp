// What every HDF5 file of triseg says about itself: format, schema version, creator and time.
#pragma once

#include "core/hdf5/hdf5.hpp"

#include <string>

namespace triseg {

inline constexpr const char* creator_name = "triseg";
std::string creator_version();
/// The time now, UTC, "2025-01-31T12:00:00Z".
std::string file_time();

/// The file's schema version. Throws Error unless its root attributes name this format and a version from `oldest` to
/// `newest`. `what` is the file in words ("a run file").
int check_format(const hdf5::File& file, const std::string& name, const std::string& what, const std::string& format,
                 int oldest, int newest);

}  // namespace triseg
