// The program triseg-train, which `triseg train`, `triseg repair` and `triseg search --strategy ste` run: alone it
// loads LibTorch, which takes most of a second.
#include "runner/commands/commands.hpp"
#include "runner/cli/program.hpp"

#include <cstdlib>

int main(int argc, char** argv) {
  const int exit_code = triseg::run_program(
      argc, argv, {triseg::setup_train, triseg::setup_repair, triseg::setup_gradient_search, triseg::setup_completion});
  // At once: the end of LibTorch's libraries waits for their threads, which after a failure may wait for ever.
  if (exit_code != 0) std::_Exit(exit_code);
  return exit_code;
}
