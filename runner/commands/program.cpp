#include "runner/commands/program.hpp"

#include "runner/ranks/report_error.hpp"

#include <CLI/CLI.hpp>
#include <spdlog/fmt/fmt.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <exception>
#include <string>
#include <vector>

namespace triseg {
namespace {

/// What the line says of a command line without a known subcommand.
std::string subcommand_expected(const CLI::App& program, int argc, char** argv) {
  std::string names;
  for (const CLI::App* subcommand : program.get_subcommands({})) names += (names.empty() ? "" : ", ") + subcommand->get_name();
  return "expected a subcommand, one of " + names + "; found " + (argc > 1 ? "'" + std::string(argv[1]) + "'" : "none");
}

/// The line for a command line that CLI11 refuses, in our words where its own do not help.
std::string message_of(const CLI::ParseError& error, const CLI::App& program, int argc, char** argv) {
  if (program.get_subcommands().empty()) return subcommand_expected(program, argc, argv);
  const std::string subcommand = program.get_subcommands().front()->get_name();
  if (dynamic_cast<const CLI::ExtrasError*>(&error)) {
    // The value of an unknown option is left over, too, so an option is named before anything else.
    std::vector<std::string> extras = program.remaining(true);
    std::stable_partition(extras.begin(), extras.end(), [](const std::string& word) { return word.starts_with('-'); });
    const std::string word = extras.front();
    if (word.starts_with('-'))
      return fmt::format("unknown option '{}': triseg {} --help lists them", word.substr(0, word.find('=')), subcommand);
    return fmt::format("unexpected argument '{}': triseg {} --help says what it takes", word, subcommand);
  }
  const std::string text = error.what();
  const std::string repeated = ": At Most 1 required but received ";
  const std::size_t at = text.find(repeated);
  if (at == std::string::npos) return text;
  const std::string times = text.substr(at + repeated.size());
  return text.substr(0, at) + ": given " + (times == "2" ? "twice" : times + " times");
}

}  // namespace

bool has_subcommand(const CLI::App& program, const std::string& name) {
  return !program.get_subcommands([&](const CLI::App* subcommand) { return subcommand->get_name() == name; }).empty();
}

int run_program(int argc, char** argv, std::initializer_list<SetupCommand*> commands) {
  spdlog::set_default_logger(spdlog::stderr_logger_st("triseg"));
  spdlog::set_pattern("%H:%M:%S %v");
  CLI::App program{"Distributed search for step-shaped INT8 activations of quantized networks"};
  program.name("triseg");
  program.set_version_flag("--version", TRISEG_VERSION);
  program.require_subcommand(1);
  int exit_code = 0;
  for (SetupCommand* setup : commands) setup(program, exit_code);
  // CLI11 would answer a --help behind an unknown subcommand with the general help.
  if (argc > 1 && argv[1][0] != '-' && !has_subcommand(program, argv[1])) {
    report_shared_error(subcommand_expected(program, argc, argv));
    return 2;
  }
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return program.exit(error);  // --help, --version
    report_shared_error(message_of(error, program, argc, argv));
    return 2;
  } catch (const std::exception& error) {
    report_shared_error(error.what());
    return 1;
  }
  return exit_code;
}

}  // namespace triseg
