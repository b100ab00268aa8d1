#include "runner/cli/version.hpp"

#include "commit.hpp"
#include "runner/ranks/build_identity.hpp"
#include "worker/engines/engines.hpp"

#include <spdlog/fmt/fmt.h>

namespace triseg {

std::string version_text() {
  std::string engines;
  for (const auto& [name, kind] : engine_names())
    if (kind != EngineKind::automatic) engines += (engines.empty() ? "" : ", ") + std::string(name);
  return fmt::format("triseg {}; commit {}; {}; engines {}", build_identity(), TRISEG_COMMIT, TRISEG_COMPILER, engines);
}

}  // namespace triseg
