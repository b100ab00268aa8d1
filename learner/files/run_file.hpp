// The run file: a run's content as one HDF5 file, laid out by learner/files/run_schema.hpp and docs/run-file.md.
#pragma once

#include "learner/run_data.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace triseg {

/// Writes the run whole (commit_file), finished or not: a reader never sees half a file. Throws Error if the content
/// contradicts itself (codes not one per site, a tmax that is not its site's) or the file cannot be written.
void write_run(const std::filesystem::path& path, const RunData& run);

/// Reads back exactly what write_run was given, doubles to the last bit. Throws Error naming the file and what was
/// expected of it if it is no run file, of a newer schema, damaged, not laid out by the schema, or if no search could
/// have had its content (learner/files/run_content.hpp).
RunData read_run(const std::filesystem::path& path);

/// How far a run is.
struct RunProgress {
  bool finished = false;
  std::uint64_t episodes = 0, episodes_total = 0;
  std::uint64_t finalist_images = 0;  ///< student images that its finalists are scored on so far; 0 once finished
  std::string model_sha256, data_sha256, config;  ///< RunData
};

/// Reads no more of a run file than this. Throws Error as read_run does, but sees neither damage elsewhere in the file
/// nor content that no search could have had.
RunProgress read_progress(const std::filesystem::path& path);

/// True if there is a run file, as far as read_progress reads it, and its run is finished.
bool is_finished_run(const std::filesystem::path& path);

/// Everything that is wrong with a run file, a line each; empty if it is right. Beyond what read_run demands, looks for
/// extra or mislabelled datasets and for derived ones that do not follow from the others. Unfinished run files can be
/// right, too. Throws only if the file cannot be read at all.
std::vector<std::string> validate_run(const std::filesystem::path& path);

}  // namespace triseg
