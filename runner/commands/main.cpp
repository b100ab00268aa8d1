// The program triseg.
#include "runner/commands/commands.hpp"
#include "runner/cli/program.hpp"

int main(int argc, char** argv) {
  using namespace triseg;
  return run_program(argc, argv,
                     {setup_search, setup_sweep, setup_sweep_reports, setup_evaluate, setup_sensitivity, setup_analyze,
                      setup_score, setup_programs, setup_pick, setup_validate, setup_verify, setup_replay,
                      setup_compare, setup_show, setup_doctor, setup_completion, setup_companions});
}
