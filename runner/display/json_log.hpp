// What a program says and does as lines of JSON in a file, for other programs.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace triseg {

/// From now on every log message is also appended to the file, a JSON object a line: "time" (UTC, ISO 8601, with
/// milliseconds), "event" ("log"), "level" and "message". Written at once, so that it can be followed. Throws Error if
/// the file cannot be opened for appending, is a pipe, or begins otherwise than such a log.
void log_to_json(const std::string& path);

using EventValue = std::variant<double, std::uint64_t, std::string>;

/// The same of something that happens, with fields of its own behind "time" and "event". Nothing happens without
/// log_to_json. What is not a finite number is null.
void log_event(std::string_view event, std::span<const std::pair<std::string_view, EventValue>> fields);

}  // namespace triseg
