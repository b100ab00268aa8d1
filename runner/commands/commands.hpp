// The subcommands: each file X_command.cpp declares its options on the program and runs it when it is chosen.
#pragma once

namespace CLI {
class App;
}

namespace triseg {

/// A setup function adds its subcommand to `program`. When the subcommand is chosen, its callback runs it and stores
/// the exit code in `exit_code`. Failures leave the callback as exceptions.
void setup_search(CLI::App& program, int& exit_code);
void setup_sweep(CLI::App& program, int& exit_code);  // runner/sweep
/// Subcommands of sweep: called after setup_sweep.
void setup_sweep_reports(CLI::App& program, int& exit_code);  // runner/sweep/reports
void setup_score(CLI::App& program, int& exit_code);
void setup_train(CLI::App& program, int& exit_code);            // in the program triseg-train
void setup_repair(CLI::App& program, int& exit_code);           // in the program triseg-train
void setup_gradient_search(CLI::App& program, int& exit_code);  // search in the program triseg-train
void setup_import(CLI::App& program, int& exit_code);           // in the program triseg-import
void setup_programs(CLI::App& program,
                    int& exit_code);  // in triseg: these three, by becoming those programs with the same arguments
void setup_evaluate(CLI::App& program, int& exit_code);
void setup_pick(CLI::App& program, int& exit_code);
void setup_sensitivity(CLI::App& program, int& exit_code);  // runner/analysis
void setup_analyze(CLI::App& program, int& exit_code);      // runner/analysis
void setup_verify(CLI::App& program, int& exit_code);       // runner/analysis
void setup_replay(CLI::App& program, int& exit_code);       // runner/analysis
void setup_compare(CLI::App& program, int& exit_code);      // runner/analysis
void setup_show(CLI::App& program, int& exit_code);         // runner/analysis
void setup_validate(CLI::App& program, int& exit_code);
void setup_doctor(CLI::App& program, int& exit_code);
void setup_completion(CLI::App& program, int& exit_code);  // in all programs

/// Every other program triseg-NAME that lies beside this one, as the subcommand NAME: it gets the arguments behind
/// NAME. The last one to be called: a name that is taken stays what it is.
void setup_companions(CLI::App& program, int& exit_code);

}  // namespace triseg
