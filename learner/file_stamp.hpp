// What every HDF5 file of triseg says about itself: format, schema version, creator and time.
#pragma once

#include "learner/hdf5.hpp"

#include <string>

namespace triseg {

inline constexpr const char* creator_name = "triseg";
std::string creator_version();
/// The time now, UTC, "2025-01-31T12:00:00Z".
std::string file_time();

/// Throws Error unless the file's root attributes name this format and a schema version from 1 to `version`.
/// `what` is the file in words ("a run file").
void check_format(const hdf5::File& file, const std::string& name, const std::string& what, const std::string& format, int version);

}  // namespace triseg
