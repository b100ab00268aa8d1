// The wrapper around the HDF5 C library, for whole files in memory. No other room includes hdf5.h.
#pragma once

#include "core/hdf5/values.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace triseg::hdf5 {

/// "1.10.8": of the library in this process.
std::string version();

/// An HDF5 identifier, closed with its object.
class Handle {
 public:
  using Close = int (*)(std::int64_t);
  Handle() = default;
  Handle(std::int64_t id, Close close) : id_(id), close_(close) {}
  Handle(Handle&& other) noexcept;
  Handle& operator=(Handle&& other) noexcept;
  ~Handle();
  std::int64_t id() const { return id_; }
  /// Gives up the identifier, which the caller closes.
  std::int64_t release() { return std::exchange(id_, -1); }

 private:
  std::int64_t id_ = -1;
  Close close_ = nullptr;
};

/// The type and shape of a dataset or attribute.
struct Info {
  Type type = Type::u8;
  std::size_t element_size = 1;
  std::vector<std::uint64_t> shape;
};

/// An HDF5 file in memory: written here and then committed as bytes, or opened from a file's bytes. So a full disk or a
/// file system without locks never meets the library, and what was checked is what is read.
///
/// Files are written in the format of HDF5 1.8 (checksummed metadata) and hold no times: equal content gives equal
/// bytes. They are read in every format and with every filter that the library in this process knows, so also when
/// other tools rewrote them. Datasets with a shape are chunked, shuffled, deflated and carry a Fletcher-32 checksum;
/// their first axis is extendible. Paths are absolute, "/group/name". Every failure throws Error with the file's name,
/// the path, the failing call and the library's own words; the library itself prints nothing. The library is not made
/// for several threads: a file that is open in one makes the others wait.
class File {
 public:
  static File create();
  /// `name` stands for the file in messages. `bytes` are copied.
  static File open(std::span<const std::byte> bytes, std::string name);

  /// Ends the writing of a created file and returns its bytes. Call once, last.
  std::vector<std::byte> close();

  /// Creates the group and the missing ones above it.
  void create_group(const std::string& path);
  /// Creates a dataset, and the missing groups above it.
  void write_dataset(const std::string& path, const Values& values);
  /// Creates a link to the root of another file, and the missing groups above it. `file` is relative to the folder that
  /// this file will lie in, or absolute; it need not be there.
  void write_external_link(const std::string& path, const std::string& file);
  /// Attaches an attribute to the object ("/" for the file itself).
  void write_attribute(const std::string& object, const std::string& name, const Values& values);

  enum class Kind { group, dataset, other };
  /// What the file holds below "/", by path. Soft and external links are `other`: nothing here follows them.
  const std::map<std::string, Kind>& objects() const { return objects_; }
  bool has_dataset(const std::string& path) const;
  std::vector<std::string> attributes(const std::string& object) const;
  bool has_attribute(const std::string& object, const std::string& name) const;

  /// Throws Error also for a type that triseg's files do not use.
  Info dataset_info(const std::string& path) const;
  Info attribute_info(const std::string& object, const std::string& name) const;
  Values read_dataset(const std::string& path) const;
  Values read_attribute(const std::string& object, const std::string& name) const;

 private:
  struct Image;
  struct ImageDeleter {
    void operator()(Image* image) const;
  };

  File(std::unique_lock<std::recursive_mutex> turn, Handle file, std::string name, std::size_t size)
      : turn_(std::move(turn)), file_(std::move(file)), name_(std::move(name)), size_(size) {}
  void index();

  std::unique_lock<std::recursive_mutex> turn_;  ///< to use the library; given back last
  std::unique_ptr<Image, ImageDeleter> image_;   ///< of a created file, filled when it is closed; outlives file_
  Handle file_;
  std::string name_;
  std::size_t size_;  ///< bytes of an opened file
  std::map<std::string, Kind> objects_;
};

}  // namespace triseg::hdf5
