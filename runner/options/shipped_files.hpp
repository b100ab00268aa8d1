// Finding what comes with the program: models, configurations, recipes.
#pragma once

#include <filesystem>
#include <string>

namespace triseg {

/// The folder of models/, configs/ and networks/: PREFIX/share/triseg of the program PREFIX/bin/triseg, wherever PREFIX
/// has been moved to; else the source tree of a program in its build/PRESET/bin.
std::filesystem::path shipped_folder();

/// The path as it is where there is such a file, or else the shipped file of this name, such as configs/alexnet.toml,
/// if there is that one.
std::string or_shipped(const std::string& path);

}  // namespace triseg
