#include "runner/ranks/report_error.hpp"

#include "runner/ranks/launcher.hpp"

#include <algorithm>
#include <cstdio>
#include <string>

namespace triseg {

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
