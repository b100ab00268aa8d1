#include "runner/options/shipped_files.hpp"

#include "runner/options/command_line.hpp"

#include <system_error>

namespace triseg {

namespace fs = std::filesystem;

fs::path shipped_folder() {
  const fs::path program = program_folder(), installed = (program / "../share/triseg").lexically_normal();
  std::error_code ignored;
  return fs::is_directory(installed, ignored) ? installed : (program / "../../..").lexically_normal();
}

std::string or_shipped(const std::string& path) {
  std::error_code ignored;
  const fs::path shipped = shipped_folder() / path;
  return !fs::exists(path, ignored) && fs::is_regular_file(shipped, ignored) ? shipped.string() : path;
}

}  // namespace triseg
