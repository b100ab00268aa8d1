#include "data/input_file.hpp"

#include "core/atomic_file.hpp"
#include "core/error.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace triseg {
namespace {

constexpr std::size_t packed_piece = std::size_t{1} << 16, compared_piece = std::size_t{1} << 20;
constexpr std::size_t first_piece = std::size_t{1} << 26;
constexpr std::size_t zlib_piece = std::size_t{1} << 30;  // zlib counts in unsigned int

}  // namespace

InputFile::InputFile(const std::filesystem::path& path)
    : path_(path.string()), file_(::fdopen(open_file(path), "rb"), std::fclose), packed_(path.extension() == ".gz") {
  if (!file_) fail("{}: cannot be opened for reading ({})", path_, std::strerror(errno));
  if (!packed_) return;
  buffer_.resize(packed_piece);
  constexpr int largest_window = 15, gzip_format = 16;
  if (inflateInit2(&stream_, largest_window + gzip_format) != Z_OK) fail("{}: zlib cannot be started", path_);
}

InputFile::~InputFile() {
  if (packed_) inflateEnd(&stream_);
}

std::size_t InputFile::read_some(std::span<std::uint8_t> out, std::string_view expected) {
  std::size_t done = 0;
  while (done < out.size()) {
    const auto rest = out.subspan(done);
    const std::size_t got = packed_ ? unpack(rest, expected) : fill(rest, expected);
    if (got == 0) break;
    done += got;
    offset_ += got;
  }
  return done;
}

void InputFile::read(std::span<std::uint8_t> out, std::string_view expected) {
  if (read_some(out, expected) < out.size())
    fail("{}: offset {}: the file ends here, expected {}", path_, offset_, expected);
}

std::vector<std::uint8_t> InputFile::read_vector(std::size_t size, std::string_view expected) {
  std::vector<std::uint8_t> bytes;
  while (bytes.size() < size) {
    const std::size_t start = bytes.size();
    const std::size_t end = std::min(size, std::max(first_piece, 2 * start));
    bytes.reserve(end);  // exactly: resize alone may take twice as much
    bytes.resize(end);
    read(std::span(bytes).subspan(start), expected);
  }
  return bytes;
}

std::uint32_t InputFile::read_big_endian(std::string_view expected) {
  std::array<std::uint8_t, 4> b{};
  read(b, expected);
  return std::uint32_t{b[0]} << 24 | std::uint32_t{b[1]} << 16 | std::uint32_t{b[2]} << 8 | b[3];
}

bool InputFile::next(std::uint8_t& byte, std::string_view expected) {
  return read_some(std::span(&byte, 1), expected) == 1;
}

void InputFile::expect_end() {
  std::uint8_t byte = 0;
  if (next(byte, "the end of the file"))
    fail("{}: offset {}: expected the end of the file, found more data", path_, offset_ - 1);
}

std::size_t InputFile::fill(std::span<std::uint8_t> out, std::string_view expected) {
  const std::size_t got = std::fread(out.data(), 1, out.size(), file_.get());
  if (got == 0 && std::ferror(file_.get()))
    fail("{}: offset {}: cannot be read ({}), expected {}", path_, offset_, std::strerror(errno), expected);
  return got;
}

/// At least one byte, or 0 behind the last member.
std::size_t InputFile::unpack(std::span<std::uint8_t> out, std::string_view expected) {
  const auto room = static_cast<unsigned>(std::min(out.size(), zlib_piece));
  stream_.next_out = out.data();
  stream_.avail_out = room;
  while (stream_.avail_out == room) {
    if (!inside_member_ && !start_member(expected)) return 0;
    if (!refill(expected))
      fail("{}: offset {}: the file is cut off within its gzip data, expected {}", path_, offset_, expected);
    const int code = inflate(&stream_, Z_NO_FLUSH);
    if (code == Z_STREAM_END) inside_member_ = false;
    else if (code != Z_OK)
      fail("{}: offset {}: damaged gzip data ({}), expected {}", path_, offset_ + (room - stream_.avail_out),
           stream_.msg ? stream_.msg : zError(code), expected);
  }
  return room - stream_.avail_out;
}

/// Sees to it that packed bytes wait for inflate; false at the end of the file.
bool InputFile::refill(std::string_view expected) {
  if (stream_.avail_in > 0) return true;
  stream_.next_in = buffer_.data();
  stream_.avail_in = static_cast<unsigned>(fill(buffer_, expected));
  return stream_.avail_in > 0;
}

/// False if no member follows: the file ends here, or zero bytes alone are left.
bool InputFile::start_member(std::string_view expected) {
  constexpr std::uint8_t first_byte = 0x1f;
  const bool more = refill(expected);
  if (members_ > 0) {
    if (!more) return false;
    if (*stream_.next_in == 0) {
      do {
        const std::span<const std::uint8_t> rest(stream_.next_in, stream_.avail_in);
        if (std::any_of(rest.begin(), rest.end(), [](std::uint8_t byte) { return byte != 0; }))
          fail("{}: offset {}: data and zero bytes behind the gzip data, expected the end of the file", path_, offset_);
        stream_.avail_in = 0;
      } while (refill(expected));
      return false;
    }
    if (*stream_.next_in != first_byte)
      fail("{}: offset {}: foreign data behind the gzip data, expected the end of the file or another gzip member",
           path_, offset_);
    inflateReset(&stream_);
  } else if (more && *stream_.next_in != first_byte) {
    fail("{}: offset 0: no gzip data, expected them in a file with this ending", path_);
  }
  ++members_;
  return inside_member_ = true;
}

void expect_same_content(const std::filesystem::path& taken, const std::filesystem::path& other) {
  InputFile a(taken), b(other);
  std::vector<std::uint8_t> a_bytes(compared_piece), b_bytes(compared_piece);
  for (std::size_t offset = 0, size = compared_piece; size == compared_piece; offset += size) {
    size = a.read_some(a_bytes, fmt::format("the content of {}", b.path()));
    const std::size_t b_size = b.read_some(b_bytes, fmt::format("the content of {}", a.path()));
    const auto a_end = a_bytes.begin() + size, b_end = b_bytes.begin() + b_size;
    const std::size_t equal = std::mismatch(a_bytes.begin(), a_end, b_bytes.begin(), b_end).first - a_bytes.begin();
    if (equal < std::max(size, b_size))
      fail("{}: offset {}: expected the content of {}, found another: remove the wrong file of the two", b.path(),
           offset + equal, a.path());
  }
}

}  // namespace triseg
