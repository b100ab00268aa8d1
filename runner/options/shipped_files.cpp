#include "runner/options/shipped_files.hpp"

#include "runner/options/command_line.hpp"

#include <algorithm>
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

std::vector<std::string> shipped_configurations() {
  std::vector<std::string> names;
  std::error_code unreadable;
  for (const auto& entry : fs::directory_iterator(shipped_folder() / "configs", unreadable)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".toml") && !name.starts_with("sweep-")) names.push_back("configs/" + name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace triseg
