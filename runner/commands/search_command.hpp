// The search command of the program that has gradients.
#pragma once

#include "runner/search.hpp"

namespace CLI {
class App;
}

namespace triseg {

/// Adds the command as setup_search(program, exit_code) does, which has no gradients: there --strategy ste becomes the
/// program triseg-train, which calls this one.
void setup_search(CLI::App& program, int& exit_code, const GradientMaker& gradients);

}  // namespace triseg
