// The program triseg-train, which `triseg train` and `triseg repair` run: alone it loads LibTorch, which takes most of
// a second.
#include "runner/commands/commands.hpp"
#include "runner/commands/program.hpp"

int main(int argc, char** argv) { return triseg::run_program(argc, argv, {triseg::setup_train, triseg::setup_repair}); }
