// What the subcommands that take many options share: the groups of their help, and the check of a number.
#pragma once

#include <CLI/CLI.hpp>

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>

namespace triseg {

inline constexpr const char* changes_results = "Options that change the results";
inline constexpr const char* changes_speed = "Options that change only where and how fast";

template <class T>
CLI::Option* add(CLI::App& app, const char* group, const char* name, T& value, const std::string& description) {
  return app.add_option(name, value, description)->group(group)->capture_default_str();
}

/// The number that is the whole text, if T can hold it.
template <class T>
std::optional<T> number_in(const std::string& text) {
  T number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(number) : std::nullopt;
}

/// Checks that the text is a number from `least` to `most`; not-a-number is none.
CLI::Validator within(double least, double most);

/// Checks that the text is a whole number from `least` to `most`.
CLI::Validator whole(std::int64_t least, std::uint64_t most);

/// Checks that the text is not empty; `expected` says what it names ("a folder").
CLI::Validator not_empty(const std::string& expected);

/// True if both names are of one file, there or not.
bool same_file(const std::string& a, const std::string& b);

/// What --repair does, for its help.
inline constexpr const char* repair_description =
    "Requantization of the student fitted to the teacher's moments: none, by layer, or by channel";

/// What --engine takes in this build: "auto, cuda, onednn, reference".
std::string engine_choices();

}  // namespace triseg
