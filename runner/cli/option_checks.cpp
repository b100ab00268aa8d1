#include "runner/cli/option_checks.hpp"

#include "core/error.hpp"
#include "core/text.hpp"
#include "worker/engines/engines.hpp"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <utility>

namespace triseg {
namespace {

// Names of validators: what CLI11 keeps of them that other code can ask for.
constexpr std::string_view path_name = "path", offers_name = "offers ";

}  // namespace

CLI::Option* add_flag(CLI::App& app, const char* group, const char* name, bool& value, const std::string& description) {
  return app.add_flag(name, value, description)->group(group)->disable_flag_override();
}

void add_flags(CLI::App& app, const char* group, const std::string& yes, const std::string& no, bool& value,
               const std::string& description) {
  const auto add = [&](const std::string& name, bool meaning, const std::string& text) {
    return app
        .add_flag_callback(
            name, [&value, meaning] { value = meaning; }, text)
        ->group(group)
        ->disable_flag_override();
  };
  add(no, false, "Not " + yes)->excludes(add(yes, true, description));
}

CLI::Validator within(double least, double most) {
  return CLI::Validator(
      [=](std::string& text) -> std::string {
        const auto number = number_in<double>(text);
        if (number && *number >= least && *number <= most) return {};
        return fmt::format("expected a number from {:g} to {:g}, found '{}'", least, most, text);
      },
      "");
}

CLI::Validator whole(std::int64_t least, std::uint64_t most) {
  return CLI::Validator(
      [=](std::string& text) -> std::string {
        const auto in_range = [&](auto n) { return std::cmp_greater_equal(n, least) && std::cmp_less_equal(n, most); };
        const auto positive = number_in<std::uint64_t>(text);
        const auto negative = number_in<std::int64_t>(text);
        if ((positive && in_range(*positive)) || (negative && in_range(*negative))) return {};
        return fmt::format("expected a whole number from {} to {}, found '{}'", least, most, text);
      },
      "");
}

CLI::Validator not_empty(const std::string& expected) {
  return CLI::Validator(
      [=](std::string& text) { return text.empty() ? fmt::format("expected {}, found ''", expected) : ""; }, "");
}

CLI::Validator path_text(const std::string& expected, bool may_be_empty) {
  return CLI::Validator(
      [=](std::string& text) -> std::string {
        if (text.empty()) return may_be_empty ? "" : fmt::format("expected {}, found ''", expected);
        if (text.front() == '~' && (text.size() == 1 || text[1] == '/'))
          return fmt::format(
              "'{}' is the name of a folder called ~ here, which no shell has replaced: write the path out", text);
        const std::size_t dollar = text.find('$');
        const char next = dollar + 1 < text.size() ? text[dollar + 1] : ' ';
        if (dollar != std::string::npos &&
            (next == '{' || next == '_' || std::isalpha(static_cast<unsigned char>(next))))
          return fmt::format("'{}' holds a $ that no shell has replaced: write the path out", text);
        return {};
      },
      "", std::string(path_name));
}

CLI::Validator offers(const std::vector<std::string>& names) {
  return CLI::Validator([](std::string&) { return std::string(); }, "",
                        fmt::format("{}{}", offers_name, fmt::join(names, ",")));
}

CLI::Validator one_of(const std::vector<std::string>& names) {
  return CLI::Validator(
      [names](const std::string& text) {
        const bool known = std::find(names.begin(), names.end(), text) != names.end();
        return known ? std::string()
                     : fmt::format("expected one of {}, found '{}'", fmt::join(names, ", "), printable(text));
      },
      "", fmt::format("{}{}", offers_name, fmt::join(names, ",")));
}

ValueHints value_hints(CLI::Option& option) {
  ValueHints hints;
  try {
    for (int i = 0;; ++i) {
      const std::string& name = option.get_validator(i)->get_name();
      hints.path = hints.path || name == path_name;
      if (name.starts_with(offers_name)) hints.names = CLI::detail::split(name.substr(offers_name.size()), ',');
    }
  } catch (const CLI::OptionNotFound&) {}  // how CLI11 says that there are no more
  return hints;
}

void check_name_length(std::string_view option, const std::filesystem::path& file) {
  constexpr std::size_t longest = 200;  // file systems take 255 bytes
  if (const std::size_t size = file.filename().native().size(); size > longest)
    fail("{}: expected a name of at most {} bytes, found {}", option, longest, size);
}

bool same_file(const std::string& a, const std::string& b) {
  namespace fs = std::filesystem;
  return fs::weakly_canonical(fs::absolute(a)) == fs::weakly_canonical(fs::absolute(b));
}

void add_engine(CLI::App& app, EngineKind& value, const std::string& purpose) {
  std::string names;
  for (const auto& [name, kind] : engine_names()) names += (names.empty() ? "" : ", ") + std::string(name);
  add_choice(app, changes_speed, "--engine", value, engine_names(), purpose + ": " + names);
}

}  // namespace triseg
