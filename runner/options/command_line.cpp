#include "runner/options/command_line.hpp"

#include "core/error.hpp"
#include "core/text.hpp"

#include <spdlog/fmt/fmt.h>

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace triseg {
namespace {

/// Letters left out, added, changed or swapped with their neighbour between two words.
std::size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));  // of beginnings
  for (std::size_t i = 0; i <= a.size(); ++i)
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        d[i][j] = i + j;
        continue;
      }
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  return d.back().back();
}

}  // namespace

std::string shell_word(const std::string& word) {
  constexpr const char* plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=./,:+@%";
  if (!word.empty() && word.find_first_not_of(plain) == std::string::npos) return word;
  std::string result = "'";
  for (char c : word) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

std::filesystem::path program_folder() { return std::filesystem::read_symlink("/proc/self/exe").parent_path(); }

std::vector<std::string> arguments() {
  std::vector<std::string> words;
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  for (std::string word; std::getline(file, word, '\0');) words.push_back(word);
  return words;
}

std::string program_of(std::string_view subcommand) {
  if (subcommand == "train" || subcommand == "repair") return trainer_program;
  return subcommand == "import" ? importer_program : "";
}

void become(const std::string& name, std::vector<std::string> arguments) {
  std::vector<char*> argv;
  for (std::string& word : arguments) argv.push_back(word.data());
  argv.push_back(nullptr);
  const std::filesystem::path program = program_folder() / name;
  ::execv(program.c_str(), argv.data());
  if (name == trainer_program && errno == ENOENT)
    fail(
        "there is no {}: scripts/install-dependencies.sh --for-training and scripts/build.sh make it; "
        "as a Debian package it is triseg-train",
        program.string());
  if (name == importer_program && errno == ENOENT)
    fail("there is no {}: scripts/install-dependencies.sh --for-importing and scripts/build.sh make it",
         program.string());
  fail("cannot run {}: {}; it belongs beside triseg", program.string(), std::strerror(errno));
}

void become_trainer() {
  // LibTorch's threads would spin while they wait, and starve on a busy machine.
  ::setenv("OMP_WAIT_POLICY", "passive", 0);
  become(trainer_program, arguments());
}

std::string command_line() {
  std::string line;
  for (const std::string& word : arguments())
    line += line.empty() ? std::filesystem::path(word).filename().string() : ' ' + shell_word(word);
  return valid_utf8(line);
}

std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words;
  bool in_word = false;
  char quote = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quote == 0 && (c == ' ' || c == '\t' || c == '\n')) {
      in_word = false;
      continue;
    }
    if (!in_word) words.emplace_back();
    in_word = true;
    if (c == quote) quote = 0;
    else if (quote == 0 && (c == '\'' || c == '"')) quote = c;
    else if (c == '\\' && quote != '\'' && i + 1 < line.size()) words.back() += line[++i];
    else words.back() += c;
  }
  return words;
}

std::string nearest(const std::string& word, const std::vector<std::string>& names) {
  constexpr std::size_t most = 2;
  std::string best;
  std::size_t least = std::min(most, (word.size() - 1) / 2) + 1;
  if (word.empty() || word.size() > 100) return best;
  for (const std::string& name : names)
    if (const std::size_t letters = distance(word, name); letters < least) {
      least = letters;
      best = name;
    }
  return best;
}

std::string did_you_mean(const std::string& word, const std::vector<std::string>& names) {
  const std::string name = nearest(word, names);
  return name.empty() ? "" : fmt::format(" did you mean '{}'?", name);
}

}  // namespace triseg
