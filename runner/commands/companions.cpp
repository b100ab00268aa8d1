// Subcommands that are programs of their own, beside this one.
#include "runner/options/command_line.hpp"
#include "runner/commands/commands.hpp"
#include "runner/cli/program.hpp"

#include <CLI/CLI.hpp>

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace triseg {
namespace {

namespace fs = std::filesystem;

const std::string prefix = "triseg-";

/// A subcommand whose options and help are another program's.
CLI::App* add_foreign(CLI::App& program, const std::string& name, const std::string& description) {
  CLI::App* app = program.add_subcommand(name, description);
  app->set_help_flag();
  app->prefix_command();
  return app;
}

/// NAME of every program triseg-NAME in the folder.
std::set<std::string> names_in(const fs::path& folder) {
  const auto is_plain = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_'; };
  std::set<std::string> names;
  std::error_code unreadable;
  for (const auto& entry : fs::directory_iterator(folder, unreadable)) {
    const std::string file = entry.path().filename().string();
    if (!file.starts_with(prefix) || file.size() == prefix.size()) continue;
    const std::string name = file.substr(prefix.size());
    std::error_code gone;
    if (name.front() != '-' && std::all_of(name.begin(), name.end(), is_plain) && entry.is_regular_file(gone) &&
        ::access(entry.path().c_str(), X_OK) == 0)
      names.insert(name);
  }
  return names;
}

}  // namespace

void setup_programs(CLI::App& program, int&) {
  for (const auto& [name, description] :
       {std::pair("train", "Train a network and convert it to INT8"),
        {"repair", "Train the multipliers and biases of a result's student, its codes as they are"},
        {"import", "Make a model file of a quantized network in an ONNX file"}})
    add_foreign(program, name, description)->callback([name = std::string(name)] {
      if (program_of(name) == trainer_program) become_trainer();
      become(program_of(name), arguments());
    });
}

void setup_companions(CLI::App& program, int&) {
  for (const std::string& name : names_in(program_folder())) {
    if (has_subcommand(program, name)) continue;
    add_foreign(program, name, "Run " + prefix + name + ", which lies beside triseg")->callback([name] {
      std::vector<std::string> words = arguments();
      words.erase(words.begin());
      words.front() = prefix + name;
      become(words.front(), words);
    });
  }
}

}  // namespace triseg
