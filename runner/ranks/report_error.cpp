#include "runner/ranks/report_error.hpp"

#include "runner/ranks/launcher.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <new>
#include <stdexcept>
#include <string>

namespace triseg {

std::string message_of(const std::exception& error) {
  if (const auto* files = dynamic_cast<const std::filesystem::filesystem_error*>(&error))
    return fmt::format("{}: {}", files->path1().string(), files->code().message());
  if (dynamic_cast<const std::bad_alloc*>(&error) || dynamic_cast<const std::length_error*>(&error))
    return "out of memory: less is held at once with a smaller --batch-size, fewer --threads or a smaller data set";
  return error.what();
}

void report_shared_error(std::string_view message) {
  if (launcher_rank() == 0) report_error(message);
}

void report_error(std::string_view message) {
  std::string line(message);
  while (!line.empty() && line.back() == '\n') line.pop_back();
  std::replace(line.begin(), line.end(), '\n', ' ');
  std::fprintf(stderr, "triseg: error: %s\n", line.c_str());
}

}  // namespace triseg
