#include "runner/command_line.hpp"

#include "core/text.hpp"

#include <filesystem>
#include <fstream>

namespace triseg {
namespace {

std::string shell_word(const std::string& word) {
  constexpr const char* plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=./,:+@%";
  if (!word.empty() && word.find_first_not_of(plain) == std::string::npos) return word;
  std::string result = "'";
  for (char c : word) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

}  // namespace

std::string command_line() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::string line, word;
  if (std::getline(file, word, '\0')) line = std::filesystem::path(word).filename().string();
  while (std::getline(file, word, '\0')) {
    line += ' ';
    line += shell_word(word);
  }
  return valid_utf8(line);
}

}  // namespace triseg
