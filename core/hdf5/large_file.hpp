// An HDF5 file that is read where it lies, a piece at a time: for arrays that are too large to be held in memory.
#pragma once

#include "core/hdf5/hdf5.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace triseg::hdf5 {

/// An HDF5 file, open for reading in its place; it must not be changed meanwhile. Datasets may be contiguous or
/// chunked, with every filter that the library in this process has. Paths are absolute, "/group/name". Every failure
/// throws Error with the file's name and the path. Several threads may read; they wait for each other. No file lock is
/// taken.
class LargeFile {
 public:
  explicit LargeFile(const std::filesystem::path& path);
  ~LargeFile();
  LargeFile(const LargeFile&) = delete;
  LargeFile& operator=(const LargeFile&) = delete;

  const std::string& name() const { return name_; }

  bool has_dataset(const std::string& path) const;
  /// The sizes of a dataset of any type.
  std::vector<std::uint64_t> shape(const std::string& path) const;
  /// A string attribute of the root, of fixed or variable length; nothing if there is none of this name.
  std::optional<std::string> text_attribute(const std::string& name) const;
  /// All values of an array of integers of any width, row-major; 64-bit ones above the largest std::int64_t count as
  /// that.
  std::vector<std::int64_t> read_integers(const std::string& path) const;

  /// Opens an array of bytes for read_rows. Throws Error for other types, for a scalar, and for compressed chunks of
  /// more than 64 MiB, each of which a read of one row would unpack. Returns its shape.
  std::vector<std::uint64_t> open_rows(const std::string& path);
  /// Reads rows of an opened array along its first axis, in any order. out: (rows, bytes of a row). Runs of neighbours
  /// are read at once. Takes, whatever the size of the array, 20 MiB an array, or a row or a chunk where one is larger.
  void read_rows(const std::string& path, std::span<const std::uint32_t> rows, std::span<std::uint8_t> out) const;

 private:
  struct Rows {
    Handle dataset, space;
    std::vector<std::uint64_t> shape;
  };

  std::string name_;
  std::uint64_t size_ = 0;  ///< bytes
  Handle file_;
  std::map<std::string, Rows> rows_;
};

}  // namespace triseg::hdf5
