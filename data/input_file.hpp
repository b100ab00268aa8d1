// A data file read front to back, unpacked on the way if its name ends in .gz.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace triseg {

/// The bytes of one file. The name decides: NAME.gz holds gzip data (RFC 1952), any other file is taken as it is. Gzip
/// data may have several members, one behind the other, and zero bytes behind the last, as they pad tapes; gzip, too,
/// takes them. Each member's CRC and length are checked when a read passes its end; anything else behind a member is an
/// error. A read takes the memory of what it returns and 64 KiB, however far the packed bytes would unpack. Every error
/// names the path, the offset in the unpacked bytes and `expected`: what the caller looked for there.
class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::string& path() const { return path_; }

  /// Reads into `out`; returns how many bytes, fewer than there is room for only at the end of the file.
  std::size_t read_some(std::span<std::uint8_t> out, std::string_view expected);

  /// Fills `out`; the end of the file is an error.
  void read(std::span<std::uint8_t> out, std::string_view expected);

  /// Reads `size` bytes. The vector grows with what is there, up to `size`: a wrong size in a header meets the end of
  /// the file before it fills the memory.
  std::vector<std::uint8_t> read_vector(std::size_t size, std::string_view expected);

  std::uint32_t read_big_endian(std::string_view expected);

  /// False at the end of the file; else one byte has been read into `byte`.
  bool next(std::uint8_t& byte, std::string_view expected);

  /// Throws Error if anything is left.
  void expect_end();

 private:
  std::size_t fill(std::span<std::uint8_t> out, std::string_view expected);
  std::size_t unpack(std::span<std::uint8_t> out, std::string_view expected);
  bool refill(std::string_view expected);
  bool start_member(std::string_view expected);

  std::string path_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
  bool packed_;
  std::size_t offset_ = 0;            ///< in the unpacked bytes
  std::vector<std::uint8_t> buffer_;  ///< packed bytes
  z_stream stream_{};
  std::size_t members_ = 0;  ///< begun so far
  bool inside_member_ = false;
};

/// Throws Error naming both files unless they hold the same unpacked bytes.
void expect_same_content(const std::filesystem::path& taken, const std::filesystem::path& other);

}  // namespace triseg
