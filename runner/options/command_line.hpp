// The command as its user typed it.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace triseg {

/// The programs beside triseg: that which trains, and that which reads ONNX files.
inline constexpr const char* trainer_program = "triseg-train";
inline constexpr const char* importer_program = "triseg-import";
/// The program that has this subcommand of triseg's, if it is another one; else empty.
std::string program_of(std::string_view subcommand);

/// The folder that the running program lies in.
std::filesystem::path program_folder();

/// This process's arguments, the program's name first.
std::vector<std::string> arguments();

/// Replaces this process by the program of this name that lies beside it, called with these arguments, its name first.
/// Returns only by throwing Error.
void become(const std::string& name, std::vector<std::string> arguments);

/// Replaces this process by the program that trains, called as this one was. Returns only by throwing Error.
void become_trainer();

/// The arguments in shell syntax, the program's folder left out: "triseg search --seed 3 --out 'my runs'".
std::string command_line();

/// The word as a POSIX shell takes it verbatim: quoted where it holds more than plain characters.
std::string shell_word(const std::string& word);

/// The words of a command line, the program's name first, as a shell has them: blanks separate, ' and " quote, \ takes
/// the next character as it is. Nothing else is special.
std::vector<std::string> words_of(const std::string& line);

/// The name that a misspelled word most likely means: the one that the fewest letters left out, added, changed or
/// swapped with their neighbour make of it, the first of several; empty if that takes more than two, or half the word.
std::string nearest(const std::string& word, const std::vector<std::string>& names);

/// " did you mean 'X'?" for a message, X being the nearest name; empty if none is near.
std::string did_you_mean(const std::string& word, const std::vector<std::string>& names);

}  // namespace triseg
