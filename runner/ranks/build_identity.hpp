// Which triseg this is.
#pragma once

#include <string>

namespace triseg {

/// "0.1.0, build 0123456789abcdef, little-endian". The build is a digest of the sources that a search is made of, so
/// that it is the same for any compiler and machine; messages between two builds may mean different things.
std::string build_identity();

}  // namespace triseg
