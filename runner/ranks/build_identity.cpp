#include "runner/ranks/build_identity.hpp"

#include "source_digest.hpp"

#include <spdlog/fmt/fmt.h>

#include <bit>

namespace triseg {

std::string build_identity() {
  return fmt::format("{}, build {}, {}-endian", TRISEG_VERSION, TRISEG_SOURCE_DIGEST,
                     std::endian::native == std::endian::little ? "little" : "big");
}

}  // namespace triseg
