// triseg train and triseg repair: become triseg-train, which has the subcommands and their options.
#include "core/error.hpp"
#include "runner/commands/commands.hpp"

#include <CLI/CLI.hpp>

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace triseg {
namespace {

/// Replaces this process by the program beside it, with the same arguments. Returns only by throwing Error.
void become_trainer() {
  std::vector<std::string> arguments;
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  for (std::string word; std::getline(file, word, '\0');) arguments.push_back(word);
  std::vector<char*> argv;
  for (std::string& word : arguments) argv.push_back(word.data());
  argv.push_back(nullptr);
  ::setenv("OMP_WAIT_POLICY", "passive", 0);  // LibTorch's threads would spin while they wait, and starve on a busy machine
  const auto program = std::filesystem::read_symlink("/proc/self/exe").replace_filename("triseg-train");
  ::execv(program.c_str(), argv.data());
  fail("cannot run {}: {}; it belongs beside triseg", program.string(), std::strerror(errno));
}

}  // namespace

void setup_train_launch(CLI::App& program, int&) {
  for (const auto& [name, description] : {std::pair("train", "Train a network and convert it to INT8"),
                                          {"repair", "Train the multipliers and biases of a result's student, its codes as they are"}}) {
    CLI::App* app = program.add_subcommand(name, description);
    app->set_help_flag();  // the trainer's
    app->prefix_command();
    app->callback(become_trainer);
  }
}

}  // namespace triseg
