// What the subcommands that take many options share: the groups of their help, and the checks and kinds of values.
#pragma once

#include "worker/engines/engines.hpp"
#include "core/error.hpp"
#include "runner/options/search_options.hpp"

#include <CLI/CLI.hpp>

#include <charconv>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace triseg {

inline constexpr const char* changes_results = "Options that change the results";
inline constexpr const char* changes_speed = "Options that change only where and how fast";

/// The name that the type of an option with several values has: in configuration files they may be a list.
inline constexpr const char* list_type = "LIST";

/// Checks nothing; says that the option takes these names, so that a shell can complete them.
CLI::Validator offers(const std::vector<std::string>& names);

/// The same, and checks that the text is one of them.
CLI::Validator one_of(const std::vector<std::string>& names);

/// Names for them.
inline const std::vector<std::string> scheme_names = {"fbgemm", "qnnpack"}, data_names = {"fashion-mnist", "shapes"},
                                      split_names = {"search", "validation", "test"}, format_names = {"table", "json"};

/// What the value of an option may be completed to.
struct ValueHints {
  std::vector<std::string> names;
  bool path = false;  ///< names of files, too
};

/// What the option's validators say: offers and path_text.
ValueHints value_hints(CLI::Option& option);

template <class T>
CLI::Option* add(CLI::App& app, const char* group, const char* name, T& value, const std::string& description) {
  return app.add_option(name, value, description)->group(group)->capture_default_str();
}

/// An option that takes one of the names.
template <class E, class Range>
CLI::Option* add_choice(CLI::App& app, const char* group, const char* name, E& value, const Range& names,
                        const std::string& description) {
  const auto take = [&value, names](const std::string& text) {
    for (const auto& [known, each] : names) {
      if (known != text) continue;
      value = each;
      return;
    }
    std::string list;
    for (const auto& [known, each] : names) list += (list.empty() ? "" : ", ") + std::string(known);
    throw CLI::ValidationError(fmt::format("expected one of {}, found '{}'", list, text));
  };
  const std::string option(name);
  std::vector<std::string> all;
  for (const auto& [known, each] : names) all.emplace_back(known);
  return app
      .add_option_function<std::string>(
          option,
          [take, option](const std::string& text) {
            try {
              take(text);
            } catch (const CLI::ValidationError& error) {
              throw CLI::ValidationError(option, error.what());
            }
          },
          description)
      ->group(group)
      ->check(offers(all))
      ->default_str(std::string(name_of(names, value)));
}

/// The number that is the whole text, if T can hold it. A whole number has no leading zero, which some read as octal.
template <class T>
std::optional<T> number_in(const std::string& text) {
  if (std::is_integral_v<T>) {
    const std::size_t digits = text.starts_with('-');
    if (text.size() > digits + 1 && text[digits] == '0') return std::nullopt;
  }
  T number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(number) : std::nullopt;
}

/// An option without a value: refuses one, as in --name=5.
CLI::Option* add_flag(CLI::App& app, const char* group, const char* name, bool& value, const std::string& description);

/// Two options without a value that set one and exclude each other: "--flip" and "--no-flip".
void add_flags(CLI::App& app, const char* group, const std::string& yes, const std::string& no, bool& value,
               const std::string& description);

/// Checks that the text is a number from `least` to `most`; not-a-number is none.
CLI::Validator within(double least, double most);

/// Checks that the text is a whole number from `least` to `most`.
CLI::Validator whole(std::int64_t least, std::uint64_t most);

/// Checks that the text is not empty; `expected` says what it names ("a folder").
CLI::Validator not_empty(const std::string& expected);

/// Checks that the text names a path as it stands there: a shell has replaced `~` and `$NAME`, a file's text or a
/// quoted one it has not. Empty text passes if `may_be_empty`.
CLI::Validator path_text(const std::string& expected, bool may_be_empty = false);

/// Throws Error that names the option if the name of a file that is to be written, behind its folder, is longer than
/// file systems take with what is added for checkpoints and temporary files: called before hours of work.
void check_name_length(std::string_view option, const std::filesystem::path& file);

/// True if both names are of one file, there or not.
bool same_file(const std::string& a, const std::string& b);

/// What --repair does, for its help.
inline constexpr const char* repair_description =
    "Requantization of the student fitted to the teacher's moments: none, by layer, or by channel";

/// --engine, with the engines of this build. purpose: what it executes or measures, for its help.
void add_engine(CLI::App& app, EngineKind& value, const std::string& purpose);

}  // namespace triseg
