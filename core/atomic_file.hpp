// Files that are written whole or not at all.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace triseg {

/// Replaces `path` by a file of these bytes: writes them to a temporary name in the same folder, fsyncs, renames, and
/// fsyncs the folder. Whoever opens `path`, at any time and after any kill, finds the old file or the new one, whole.
/// A symbolic link stays, and what it leads to is replaced, or made if it is not there. The new file has the mode of
/// the old one, and its owner and group where this user may set them; the mode of a first one is that of the umask. On
/// failure the old file and nothing else remains, and Error names the path and the failing call. The folder must exist;
/// Error also if the links form a loop, or if a folder or a device is in the place of the file. A process killed in the
/// middle may leave a hidden `.NAME.PID-N.tmp`; it is in nobody's way and may be deleted.
void commit_file(const std::filesystem::path& path, std::span<const std::byte> bytes);
void commit_file(const std::filesystem::path& path, std::string_view text);

/// Creates the folder (and its parents) if needed and proves, by writing and removing a file, that files can be made
/// there. Throws Error naming the folder: called before hours of work, so that their result has a place.
void ensure_writable_folder(const std::filesystem::path& folder);

/// A descriptor of a file, open for reading, which the caller closes. Throws Error naming it if it cannot be opened or
/// is no regular file: a folder, or a device or pipe, which could hold the reader for ever.
int open_file(const std::filesystem::path& path);

/// The bytes of a file, or the same as text. Throws Error as open_file does, and if it cannot be read.
std::vector<std::byte> read_file(const std::filesystem::path& path);
std::string read_text(const std::filesystem::path& path);

}  // namespace triseg
