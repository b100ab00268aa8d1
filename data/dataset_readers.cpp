#include "data/dataset_readers.hpp"

#include "core/error.hpp"
#include "core/philox.hpp"

#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <memory>

namespace triseg {
namespace {

/// A file read front to back, gunzipped on the way if it is compressed; knows its offset for error messages.
class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& path) : path_(path.string()), file_(gzopen(path_.c_str(), "rb"), gzclose) {
    if (!file_) fail("{}: cannot be opened for reading", path_);
  }

  const std::string& path() const { return path_; }

  void read(std::span<std::uint8_t> out, std::string_view expected) {
    while (!out.empty()) {
      const auto want = static_cast<unsigned>(std::min<std::size_t>(out.size(), 1u << 30));
      const int got = gzread(file_.get(), out.data(), want);
      if (got < 0) fail("{}: offset {}: {}, expected {}", path_, offset_, read_error(), expected);
      if (got == 0) fail("{}: offset {}: the file ends here, expected {}", path_, offset_, expected);
      offset_ += got;
      out = out.subspan(got);
    }
  }

  /// Reads `size` bytes piece by piece, so that a wrong size in a header meets the end of the file before it fills the memory.
  std::vector<std::uint8_t> read_vector(std::size_t size, std::string_view expected) {
    constexpr std::size_t piece = std::size_t{1} << 26;
    std::vector<std::uint8_t> bytes;
    while (bytes.size() < size) {
      const std::size_t start = bytes.size();
      bytes.resize(std::min(size, start + piece));
      read(std::span(bytes).subspan(start), expected);
    }
    return bytes;
  }

  std::uint32_t read_big_endian(std::string_view expected) {
    std::array<std::uint8_t, 4> b{};
    read(b, expected);
    return std::uint32_t{b[0]} << 24 | std::uint32_t{b[1]} << 16 | std::uint32_t{b[2]} << 8 | b[3];
  }

  /// False at the end of the file; else one byte has been read into `byte`.
  bool next(std::uint8_t& byte) {
    const int got = gzread(file_.get(), &byte, 1);
    int code = Z_OK;
    if (got == 0) gzerror(file_.get(), &code);
    if (got < 0 || code < Z_OK)
      fail("{}: offset {}: {}, expected the end of the file or another record", path_, offset_, read_error());
    offset_ += got;
    return got == 1;
  }

  void expect_end() {
    std::uint8_t byte = 0;
    if (next(byte)) fail("{}: offset {}: expected the end of the file, found more data", path_, offset_ - 1);
  }

 private:
  std::string read_error() {
    int code = Z_OK;
    std::string text = gzerror(file_.get(), &code);
    if (text.starts_with(path_ + ": ")) text.erase(0, path_.size() + 2);
    return fmt::format("{} ({})", code == Z_ERRNO ? "cannot be read" : "damaged gzip data", text);
  }

  std::string path_;
  std::unique_ptr<gzFile_s, int (*)(gzFile)> file_;
  std::size_t offset_ = 0;
};

std::filesystem::path plain_or_gz(const std::filesystem::path& folder, const std::string& name) {
  for (const char* ending : {"", ".gz"})
    if (auto path = folder / (name + ending); std::filesystem::exists(path)) return path;
  fail("{}: expected the file {} or {}.gz in it (MNIST's naming), or CIFAR-10's data_batch_1.bin", folder.string(), name, name);
}

void check_labels(const std::string& path, std::span<const std::uint8_t> labels, std::size_t first_offset, std::size_t stride) {
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (labels[i] > 9) fail("{}: offset {}: label {}, expected 0 to 9", path, first_offset + i * stride, labels[i]);
}

Images read_idx(const std::filesystem::path& folder, const std::string& prefix) {
  constexpr std::uint32_t images_magic = 0x803, labels_magic = 0x801;
  Images images;
  InputFile file(plain_or_gz(folder, prefix + "-images-idx3-ubyte"));
  if (const auto magic = file.read_big_endian("the magic number 0x00000803"); magic != images_magic)
    fail("{}: offset 0: 0x{:08x}, expected 0x00000803 (an IDX file of images)", file.path(), magic);
  const std::uint32_t count = file.read_big_endian("the number of images");
  images.channels = 1;
  const std::uint32_t rows = file.read_big_endian("the number of rows"), columns = file.read_big_endian("the number of columns");
  for (const auto& [value, offset] : {std::pair{rows, 8}, std::pair{columns, 12}})
    if (value < 1 || value > 1024) fail("{}: offset {}: a side of {} pixels, expected 1 to 1024", file.path(), offset, value);
  images.height = static_cast<int>(rows);
  images.width = static_cast<int>(columns);
  images.pixels = file.read_vector(std::size_t{count} * images.image_size(), fmt::format("{} images of {} x {}", count, rows, columns));
  file.expect_end();

  InputFile labels(plain_or_gz(folder, prefix + "-labels-idx1-ubyte"));
  if (const auto magic = labels.read_big_endian("the magic number 0x00000801"); magic != labels_magic)
    fail("{}: offset 0: 0x{:08x}, expected 0x00000801 (an IDX file of labels)", labels.path(), magic);
  if (const auto found = labels.read_big_endian("the number of labels"); found != count)
    fail("{}: offset 4: {} labels, expected {} as in {}", labels.path(), found, count, file.path());
  images.labels = labels.read_vector(count, fmt::format("{} labels", count));
  labels.expect_end();
  check_labels(labels.path(), images.labels, 8, 1);
  return images;
}

void append_cifar10_batch(const std::filesystem::path& path, Images& images) {
  constexpr std::size_t pixels = 3 * 32 * 32;
  InputFile file(path);
  std::vector<std::uint8_t> record(pixels);
  std::uint8_t label = 0;
  std::size_t count = 0;
  for (; file.next(label); ++count) {
    check_labels(file.path(), std::span(&label, 1), count * (pixels + 1), 1);
    file.read(record, fmt::format("the {} pixels of record {}", pixels, count));
    images.labels.push_back(label);
    images.pixels.insert(images.pixels.end(), record.begin(), record.end());
  }
  if (count == 0) fail("{}: offset 0: the file is empty, expected records of 3073 bytes", file.path());
}

/// Draws shape `kind` with unit coordinates (x, y) in its own frame: true where the pixel is lit.
bool lit(int kind, float x, float y) {
  const float ax = std::abs(x), ay = std::abs(y), r = std::sqrt(x * x + y * y);
  switch (kind) {
    case 0: return r < 1.0f;                                   // disc
    case 1: return r < 1.0f && r > 0.6f;                       // ring
    case 2: return ax < 0.85f && ay < 0.85f;                   // square
    case 3: return std::max(ax, ay) < 0.9f && std::max(ax, ay) > 0.5f;  // frame
    case 4: return y < 0.8f && y > -0.9f && ax < (y + 0.9f) * 0.55f;    // triangle
    case 5: return std::min(ax, ay) < 0.28f && std::max(ax, ay) < 1.0f; // plus
    case 6: return std::abs(ax - ay) < 0.33f && std::max(ax, ay) < 0.95f;  // cross
    case 7: return ax < 0.95f && (ay < 0.2f || (ay > 0.55f && ay < 0.95f));  // three bars lying
    case 8: return ay < 0.95f && (ax < 0.2f || (ax > 0.55f && ax < 0.95f));  // three bars standing
    default: return ax + ay < 1.0f;                            // diamond
  }
}

Images draw_shapes(std::size_t count, std::uint32_t part) {
  constexpr std::uint64_t seed = 20240229;
  constexpr int side = 28;
  Images images{1, side, side, {}, {}};
  images.labels.resize(count);
  images.pixels.resize(count * side * side);
  for (std::size_t i = 0; i < count; ++i) {
    const auto draw = [&](std::uint32_t what) {
      return static_cast<float>(uniform(seed, Stream::shapes, i, part, what));
    };
    const int kind = static_cast<int>(i % 10);
    images.labels[i] = static_cast<std::uint8_t>(kind);
    const float radius = 5.0f + 6.0f * draw(0), h = 0.25f * (draw(1) - 0.5f);
    const float cx = 14.0f + 5.0f * (draw(2) - 0.5f), cy = 14.0f + 5.0f * (draw(3) - 0.5f);
    const float ground = 70.0f * draw(4), light = ground + 60.0f + 110.0f * draw(5), noise = 20.0f + 60.0f * draw(6);
    // A rotation by 2 atan(h), at most a quarter radian, in operations that every machine rounds alike.
    const float cosine = (1 - h * h) / (1 + h * h), sine = 2 * h / (1 + h * h);
    for (int y = 0; y < side; ++y) {
      for (int x = 0; x < side; ++x) {
        const float dx = (float(x) - cx) / radius, dy = (float(y) - cy) / radius;
        const bool on = lit(kind, cosine * dx + sine * dy, cosine * dy - sine * dx);
        const float value = (on ? light : ground) + noise * (draw(16 + y * side + x) - 0.5f);
        images.pixels[(i * side + y) * side + x] = static_cast<std::uint8_t>(std::clamp(value, 0.0f, 255.0f));
      }
    }
  }
  return images;
}

}  // namespace

DataSet read_idx_folder(const std::filesystem::path& folder) {
  DataSet data;
  data.train = read_idx(folder, "train");
  data.test = read_idx(folder, "t10k");
  return data;
}

bool is_cifar10_folder(const std::filesystem::path& folder) { return std::filesystem::exists(folder / "data_batch_1.bin"); }

DataSet read_cifar10_folder(const std::filesystem::path& folder) {
  DataSet data;
  for (Images* images : {&data.train, &data.test}) *images = Images{3, 32, 32, {}, {}};
  for (int batch = 1; batch <= 5; ++batch) append_cifar10_batch(folder / fmt::format("data_batch_{}.bin", batch), data.train);
  append_cifar10_batch(folder / "test_batch.bin", data.test);
  return data;
}

DataSet make_shapes() {
  DataSet data;
  data.train = draw_shapes(12000, 0);
  data.test = draw_shapes(2000, 1);
  return data;
}

}  // namespace triseg
