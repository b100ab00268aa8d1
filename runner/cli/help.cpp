#include "runner/cli/help.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>

namespace triseg {
namespace {

constexpr std::size_t name_columns = 32;

/// What help has of an app beside CLI11's own; apps live as long as the program.
std::map<const CLI::App*, std::vector<HelpGroup>>& arrangements() {
  static std::map<const CLI::App*, std::vector<HelpGroup>> arrangements;
  return arrangements;
}
std::map<const CLI::App*, ExitCodes>& exit_codes() {
  static std::map<const CLI::App*, ExitCodes> exit_codes;
  return exit_codes;
}

/// The text in lines of at most `columns`, broken at blanks.
std::vector<std::string> wrapped(const std::string& text, std::size_t columns) {
  std::vector<std::string> lines(1);
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    if (!lines.back().empty() && lines.back().size() + 1 + word.size() > columns) lines.emplace_back();
    lines.back() += (lines.back().empty() ? "" : " ") + word;
  }
  return lines;
}

/// A name, and what it is about beside and below.
std::string entry(const std::string& name, const std::string& text) {
  const bool fits = name.size() + 1 < name_columns;
  std::string result = fits ? fmt::format("{:<{}}", name, name_columns) : name + "\n" + std::string(name_columns, ' ');
  const auto lines = wrapped(text, help_columns - name_columns);
  for (std::size_t i = 0; i < lines.size(); ++i)
    result += (i > 0 ? std::string(name_columns, ' ') : "") + lines[i] + "\n";
  return result;
}

std::string option_entry(const CLI::Option& option) {
  std::string name = "  " + option.get_name(false, true);
  if (option.get_expected_max() > 0) {
    name += " " + option.get_type_name();
    if (!option.get_default_str().empty()) name += "=" + option.get_default_str();
  }
  return entry(name, option.get_description());
}

std::string group_text(const std::string& heading, const std::vector<const CLI::Option*>& options) {
  if (options.empty()) return "";
  std::string text = "\n" + heading + ":\n";
  for (const CLI::Option* option : options) text += option_entry(*option);
  return text;
}

/// The named options of an app that help may show, but for help's own.
std::vector<const CLI::Option*> options_of(const CLI::App& app) {
  return app.get_options([&](const CLI::Option* option) {
    return option->nonpositional() && !option->get_group().empty() && option != app.get_help_ptr() &&
           option != app.get_help_all_ptr();
  });
}

/// True if the help of the groups leaves something out.
bool has_more(const CLI::App& app, const std::vector<HelpGroup>& groups) {
  std::set<const CLI::Option*> shown;
  for (const auto& [heading, names] : groups)
    for (const std::string& name : names) shown.insert(app.get_option_no_throw(name));
  const auto options = options_of(app);
  return std::any_of(options.begin(), options.end(),
                     [&](const CLI::Option* option) { return !shown.contains(option); });
}

std::string arranged(const CLI::App& app, const std::vector<HelpGroup>& groups, bool all) {
  std::string text;
  std::set<const CLI::Option*> shown;
  for (const auto& [heading, names] : groups) {
    std::vector<const CLI::Option*> options;
    for (const std::string& name : names)
      if (const CLI::Option* option = app.get_option_no_throw(name)) options.push_back(option);
    shown.insert(options.begin(), options.end());
    text += group_text(heading, options);
  }
  std::vector<const CLI::Option*> rest;
  for (const CLI::Option* option : options_of(app))
    if (!shown.contains(option)) rest.push_back(option);
  if (all) return text + group_text("More", rest);
  return text + (rest.empty() ? "" : fmt::format("\n--help-all shows {} more options.\n", rest.size()));
}

std::string declared(const CLI::App& app) {
  std::vector<std::string> headings;
  std::map<std::string, std::vector<const CLI::Option*>> groups;
  for (const CLI::Option* option : options_of(app)) {
    if (!groups.contains(option->get_group())) headings.push_back(option->get_group());
    groups[option->get_group()].push_back(option);
  }
  std::string text;
  for (const std::string& heading : headings) text += group_text(heading, groups[heading]);
  return text;
}

std::string usage(const CLI::App& app, const std::string& name) {
  std::string line = name;
  for (const CLI::App* at = &app; at; at = at->get_parent())
    if (!at->get_name().empty() && line.empty()) line = at->get_name();
  if (!options_of(app).empty()) line += " [OPTIONS]";
  for (const CLI::Option* option : app.get_options())
    if (option->get_positional()) line += " " + option->get_name(true);
  return line + (app.get_subcommands({}).empty() ? "" : " SUBCOMMAND");
}

/// "triseg sweep status"
std::string full_name(const CLI::App& app) {
  return app.get_parent() ? full_name(*app.get_parent()) + " " + app.get_name() : app.get_name();
}

}  // namespace

void arrange_help(CLI::App& app, const std::vector<HelpGroup>& groups) { arrangements()[&app] = groups; }

void add_exit_codes(CLI::App& app, const ExitCodes& codes) { exit_codes()[&app] = codes; }

std::string HelpFormatter::make_help(const CLI::App* app, std::string, CLI::AppFormatMode mode) const {
  std::string text;
  for (const std::string& line : wrapped(app->get_description(), help_columns)) text += line + "\n";
  text += "Usage: " + usage(*app, full_name(*app)) + "\n";
  std::string positionals;
  for (const CLI::Option* option : app->get_options())
    if (option->get_positional()) positionals += entry("  " + option->get_name(true), option->get_description());
  if (!positionals.empty()) text += "\n" + positionals;
  const auto found = arrangements().find(app);
  text +=
      found == arrangements().end() ? declared(*app) : arranged(*app, found->second, mode == CLI::AppFormatMode::All);
  std::string subcommands;
  for (const CLI::App* subcommand : app->get_subcommands({}))
    if (!subcommand->get_group().empty())
      subcommands += entry("  " + subcommand->get_name(), subcommand->get_description());
  if (!subcommands.empty()) text += "\nSubcommands:\n" + subcommands;
  if (const auto codes = exit_codes().find(app); codes != exit_codes().end()) {
    text += "\nExit codes:\n";
    for (const auto& [code, meaning] : codes->second) text += fmt::format("  {:<3} {}\n", code, meaning);
  }
  return text + (app->get_footer().empty() ? "" : "\n" + app->get_footer() + "\n");
}

void add_help_all(CLI::App& program) {
  for (CLI::App* app : program.get_subcommands([](CLI::App*) { return true; })) {
    const auto found = arrangements().find(app);
    if (found != arrangements().end() && has_more(*app, found->second))
      app->set_help_all_flag("--help-all", "All options");
    add_help_all(*app);
  }
}

}  // namespace triseg
