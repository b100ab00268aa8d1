// The command as its user typed it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace triseg {

/// The folder that the running program lies in.
std::filesystem::path program_folder();

/// This process's arguments, the program's name first.
std::vector<std::string> arguments();

/// The same in shell syntax, the program's folder left out: "triseg search --seed 3 --out 'my runs'".
std::string command_line();

/// The word as a POSIX shell takes it verbatim: quoted where it holds more than plain characters.
std::string shell_word(const std::string& word);

/// The words of a command line, the program's name first, as a shell has them: blanks separate, ' and " quote, \ takes
/// the next character as it is. Nothing else is special.
std::vector<std::string> words_of(const std::string& line);

}  // namespace triseg
