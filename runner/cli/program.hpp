// What the two programs share: parses the command line, runs the chosen subcommand, turns an exception into one line
// and an exit code.
#pragma once

#include <initializer_list>
#include <string>

namespace CLI {
class App;
}

namespace triseg {

/// Adds a subcommand (runner/commands/commands.hpp).
using SetupCommand = void(CLI::App& program, int& exit_code);

bool has_subcommand(const CLI::App& program, const std::string& name);

/// The exit code: the subcommand's, 1 after a failure, 2 for a command line that cannot be parsed. What it prints has
/// been flushed. From then on a failure that no one can catch, as on a thread of a library, is a line and exit code 1,
/// too.
int run_program(int argc, char** argv, std::initializer_list<SetupCommand*> commands);

}  // namespace triseg
