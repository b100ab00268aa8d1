// What --version prints.
#pragma once

#include <string>

namespace triseg {

/// "triseg 0.1.0, build 0123456789abcdef, little-endian; commit 0123456789ab; GNU 12.2.0; engines onednn, reference":
/// the build as runner/ranks/build_identity.hpp has it, the commit that the tree stood at when it was built, and the
/// engines that it has, fastest first.
std::string version_text();

}  // namespace triseg
