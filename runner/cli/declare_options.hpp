// The options of commands, declared once by the part they belong to: a declaration makes the command line, the
// configuration file, the help, the configuration stored in the run file, and its hash.
#pragma once

#include "runner/options/search_options.hpp"
#include "core/toml_file.hpp"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace triseg {

// Each adds the options of one part to `app`, bound to `options`.
void declare_problem(CLI::App& app, ProblemOptions& options);
void declare_iteration(CLI::App& app, IterationOptions& options);
void declare_start(CLI::App& app, StartOptions& options);
void declare_strategy(CLI::App& app, StrategyOptions& options);  // but for its start
void declare_objective(CLI::App& app, ObjectiveOptions& options);
void declare_selection(CLI::App& app, SelectionOptions& options);
void declare_moment_repair(CLI::App& app, MomentRepairOptions& options);
void declare_engine(CLI::App& app, EngineOptions& options);
void declare_ranks(CLI::App& app, RankOptions& options);
void declare_output(CLI::App& app, OutputOptions& options);
/// --config.
void declare_config(CLI::App& app);

/// All of them.
void declare_search(CLI::App& app, SearchOptions& options);

/// The help of a command with options of a search: those one meets first under headings, the rest behind --help-all.
void arrange_search_help(CLI::App& app);

/// The options that the command line gave, by name without dashes. Call it before apply_config_file.
std::set<std::string> given_options(const CLI::App& app);

/// Fills in from --config what the command line did not give. Call it when the command line has been parsed. Throws
/// Error naming file and key if the file cannot be read, a key is no option of a search, or its value is not of the
/// option's kind or range. Keys that a search has and this command has not are passed over and returned, with their
/// values.
std::map<std::string, std::string> apply_config_file(CLI::App& app);

/// The same of entries that are at hand. `place` stands for them in messages: "--config: FILE".
std::map<std::string, std::string> apply_entries(CLI::App& app, const std::vector<TomlEntry>& entries,
                                                 const std::string& place);

/// Checks what can be checked without reading a file. Throws Error naming the option and what it takes.
/// `given`: names of the options of the command line (given_options): one that another makes meaningless, say --clip
/// with
/// --strategy cma-es, is refused; a configuration file may hold what only some searches use.
void check_options(const SearchOptions& options, const std::set<std::string>& given);

/// What an option, by name without dashes, needs to have an effect beside these: "--strategy ppo"; empty if it has one.
std::string needed_by(const std::string& name, const SearchOptions& options);

/// The options that change results as lines "name=value" in one normal form, as they were given or are by default:
/// nothing that follows from network or data is filled in.
std::string result_options_text(const CLI::App& app);

/// The options as files keep them. Call it after complete_options.
OptionTexts option_texts(const CLI::App& app, const SearchOptions& options);

}  // namespace triseg
