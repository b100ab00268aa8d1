// The command as its user typed it.
#pragma once

#include <string>

namespace triseg {

/// This process's arguments in shell syntax, the program's folder left out: "triseg search --seed 3 --out 'my runs'".
std::string command_line();

}  // namespace triseg
