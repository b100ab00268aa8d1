// Help that fits a screen of 100 columns: options in the order in which people meet them, the rest behind --help-all.
#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <utility>
#include <vector>

namespace triseg {

/// The columns that no line of help exceeds, but for a name that does.
inline constexpr std::size_t help_columns = 100;

/// A heading and the options below it, names with their dashes.
using HelpGroup = std::pair<std::string, std::vector<std::string>>;

/// Puts the options under headings, in this order; what an app has not is passed over. Options that no group names are
/// shown by --help-all alone. The groups that options were declared in stay what they are for everything else.
void arrange_help(CLI::App& app, const std::vector<HelpGroup>& groups);

/// Codes and what they mean.
using ExitCodes = std::vector<std::pair<int, std::string>>;

/// Has the end of an app's help say what its exit codes mean. Those of all commands stand in the program's help.
void add_exit_codes(CLI::App& app, const ExitCodes& codes);

/// Writes help for an app and those below it, arranged or not. Examples are the app's footer (examples.hpp).
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override;
};

/// Gives every subcommand that is arranged --help-all.
void add_help_all(CLI::App& program);

}  // namespace triseg
