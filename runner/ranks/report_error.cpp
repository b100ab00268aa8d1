#include "runner/ranks/report_error.hpp"

#include "core/error.hpp"
#include "core/terminal.hpp"
#include "core/text.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <new>
#include <stdexcept>
#include <string>

namespace triseg {
namespace {

std::atomic<bool> speaks = true;
static_assert(std::atomic<bool>::is_always_lock_free, "read by a signal handler");

}  // namespace

void leave_errors_to_rank_0() { speaks = false; }

bool speaks_for_all() { return speaks; }

std::string message_of(const std::exception& error) {
  if (const auto* files = dynamic_cast<const std::filesystem::filesystem_error*>(&error))
    return fmt::format("{}: {}", files->path1().string(), files->code().message());
  if (dynamic_cast<const std::bad_alloc*>(&error) || dynamic_cast<const std::length_error*>(&error))
    return "out of memory: less is held at once with a smaller --batch-size, fewer --threads or a smaller data set";
  const std::string_view message = error.what();
  if (dynamic_cast<const Error*>(&error)) return std::string(message);
  return std::string(message.substr(0, message.find('\n')));  // behind it libraries describe their own insides
}

void report_shared_error(std::string_view message) {
  if (speaks_for_all()) report_error(message);
}

void report_error(std::string_view message) {
  std::string line(message);
  while (!line.empty() && line.back() == '\n') line.pop_back();
  std::replace(line.begin(), line.end(), '\n', ' ');
  line = fmt::format("{}{} {}\n", line_start(), colored(Color::red, "triseg: error:"), printable(line));
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace triseg
