// The program triseg-import, which `triseg import` runs.
#include "runner/cli/program.hpp"
#include "runner/commands/commands.hpp"

#include <string>
#include <vector>

namespace triseg {
namespace {

/// `triseg-import FILE` is `triseg import FILE`.
int run(int argc, char** argv) {
  std::string subcommand = "import";
  std::vector<char*> words(argv, argv + argc);
  const std::string first = argc > 1 ? argv[1] : "";
  if (first != subcommand && first != "--version" && first != "completion")
    words.insert(words.begin() + (argc > 0), subcommand.data());
  words.push_back(nullptr);
  return run_program(static_cast<int>(words.size()) - 1, words.data(), {setup_import, setup_completion});
}

}  // namespace
}  // namespace triseg

int main(int argc, char** argv) { return triseg::run(argc, argv); }
