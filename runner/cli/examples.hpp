// Examples that help ends with.
#pragma once

namespace CLI {
class App;
}

namespace triseg {

/// Gives every subcommand that has examples a footer of them.
void add_examples(CLI::App& program);

}  // namespace triseg
