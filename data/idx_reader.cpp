#include "core/error.hpp"
#include "data/dataset_readers.hpp"
#include "data/input_file.hpp"

#include <algorithm>
#include <array>
#include <future>
#include <map>
#include <regex>

namespace triseg {
namespace {

namespace fs = std::filesystem;

enum class Part { train, test };
enum class Kind { images, labels };

/// The files of one data set by what they hold.
using IdxFiles = std::map<std::pair<Part, Kind>, std::vector<fs::path>>;

/// The IDX files of a folder by their data set: what their names have before "train" or "test".
std::map<std::string, IdxFiles> find_idx_sets(const fs::path& folder) {
  static const std::regex name_form("(.*-)?(train|test|t10k)-(images|labels)[-.]idx[1-9]-(ubyte|short)([.]gz)?");
  std::map<std::string, IdxFiles> sets;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    std::smatch match;
    std::error_code no_status;
    if (!entry.is_regular_file(no_status) || !std::regex_match(name, match, name_form)) continue;
    const Part part = match[2] == "train" ? Part::train : Part::test;
    sets[match[1]][{part, match[3] == "images" ? Kind::images : Kind::labels}].push_back(entry.path());
  }
  if (error) fail("{}: cannot be listed ({})", folder.string(), error.message());
  for (auto& [prefix, files] : sets)
    for (auto& [role, paths] : files) std::sort(paths.begin(), paths.end());  // NAME before NAME.gz
  return sets;
}

/// The file with this content. Further ones, such as NAME.gz beside NAME, must be copies of it.
fs::path file_of(const fs::path& folder, const std::string& prefix, const IdxFiles& files, Part part, Kind kind) {
  const auto found = files.find({part, kind});
  if (found == files.end())
    fail(
        "{}: expected the file {}{}-{}-ubyte in it, plain or .gz (MNIST's naming), or CIFAR-10's data_batch_1.bin, or "
        "CIFAR-100's train.bin",
        folder.string(), prefix,
        part == Part::train ? "train"
        : prefix.empty()    ? "t10k"
                            : "test",
        kind == Kind::images ? "images-idx3" : "labels-idx1");
  const std::vector<fs::path>& paths = found->second;
  for (std::size_t i = 1; i < paths.size(); ++i) expect_same_content(paths.front(), paths[i]);
  return paths.front();
}

/// Throws Error unless the file begins with one of the magic numbers; returns it.
std::uint32_t read_magic(InputFile& file, std::array<std::uint32_t, 2> known, std::string_view kind) {
  const std::uint32_t magic = file.read_big_endian(fmt::format("the magic number 0x{:08x}", known[0]));
  if (std::find(known.begin(), known.end(), magic) == known.end())
    fail("{}: offset 0: 0x{:08x}, expected 0x{:08x} or 0x{:08x} (an IDX file of {}){}", file.path(), magic, known[0],
         known[1], kind, magic >> 16 == 0x1f8b ? "; the name of compressed data must end in .gz" : "");
  return magic;
}

/// The channels of images with these three dimensions. `last`: they are the last of them, not the first.
struct ChannelAxis {
  std::uint32_t channels;
  bool last;
};

ChannelAxis channel_axis(const std::string& path, std::span<const std::uint32_t> sides) {
  const auto can_be = [](std::uint32_t channels) { return channels == 1 || channels == 3 || channels == 4; };
  const bool first = can_be(sides[0]), last = can_be(sides[2]);
  if (first == last)
    fail(
        "{}: offset 8: images of {} x {} x {}, expected 1, 3 or 4 channels as the first or the last dimension, not as "
        "both",
        path, sides[0], sides[1], sides[2]);
  return {last ? sides[2] : sides[0], last};
}

/// (N, height, width, channels) to (N, channels, height, width), in place.
void move_channels_forward(Images& images) {
  const std::size_t channels = images.channels, plane = std::size_t(images.height) * images.width,
                    size = channels * plane;
  std::vector<std::uint8_t> image(size);
  for (std::size_t at = 0; at < images.pixels.size(); at += size) {
    const auto pixels = std::span(images.pixels).subspan(at, size);
    std::copy(pixels.begin(), pixels.end(), image.begin());
    for (std::size_t i = 0; i < plane; ++i)
      for (std::size_t c = 0; c < channels; ++c) pixels[c * plane + i] = image[i * channels + c];
  }
}

/// Sizes and pixels; labels stay empty. Returns the number of images.
std::uint32_t read_images(const fs::path& path, Images& images) {
  constexpr std::uint32_t grey = 0x803, colour = 0x804;
  InputFile file(path);
  const std::uint32_t magic = read_magic(file, {grey, colour}, "images");
  const std::uint32_t count = file.read_big_endian("the number of images");
  std::vector<std::uint32_t> sides(magic == grey ? 2 : 3);
  for (std::size_t i = 0; i < sides.size(); ++i) {
    sides[i] = file.read_big_endian(magic == colour ? "a dimension"
                                    : i == 0        ? "the number of rows"
                                                    : "the number of columns");
    if (sides[i] < 1 || sides[i] > 1024)
      fail("{}: offset {}: a side of {} pixels, expected 1 to 1024", file.path(), 8 + 4 * i, sides[i]);
  }
  const ChannelAxis axis = magic == grey ? ChannelAxis{1, false} : channel_axis(file.path(), sides);
  const std::size_t rows = magic == colour && !axis.last ? 1 : 0;
  images.channels = static_cast<int>(axis.channels);
  images.height = static_cast<int>(sides[rows]);
  images.width = static_cast<int>(sides[rows + 1]);
  images.pixels = file.read_vector(std::size_t{count} * images.image_size(),
                                   fmt::format("{} images of {}", count, fmt::join(sides, " x ")));
  file.expect_end();
  if (axis.last) move_channels_forward(images);
  return count;
}

std::vector<std::uint16_t> read_labels(const fs::path& path, std::uint32_t count, const fs::path& images_path) {
  constexpr std::uint32_t bytes = 0x801, shorts = 0xb01;
  InputFile file(path);
  const std::uint32_t magic = read_magic(file, {bytes, shorts}, "labels");
  if (const auto found = file.read_big_endian("the number of labels"); found != count)
    fail("{}: offset 4: {} labels, expected {} as in {}", file.path(), found, count, images_path.string());
  const std::size_t size = magic == shorts ? 2 : 1;
  const std::vector<std::uint8_t> raw = file.read_vector(count * size, fmt::format("{} labels", count));
  file.expect_end();
  if (size == 1) return {raw.begin(), raw.end()};
  std::vector<std::uint16_t> labels(count);
  for (std::size_t i = 0; i < count; ++i) labels[i] = static_cast<std::uint16_t>(raw[2 * i] << 8 | raw[2 * i + 1]);
  return labels;
}

std::string size_of(const Images& images) {
  return fmt::format("{} x {} x {}", images.channels, images.height, images.width);
}

}  // namespace

bool is_idx_folder(const fs::path& folder) { return !find_idx_sets(folder).empty(); }

DataSet read_idx_folder(const fs::path& folder) {
  auto sets = find_idx_sets(folder);
  if (sets.size() > 1) {
    std::vector<std::string> names;
    for (const auto& [prefix, files] : sets) names.push_back(files.begin()->second.front().filename().string());
    fail("{}: expected one data set, found {}: {}; give each a folder of its own", folder.string(), names.size(),
         fmt::join(names, ", "));
  }
  const std::string prefix = sets.empty() ? "" : sets.begin()->first;
  const IdxFiles files = sets.empty() ? IdxFiles{} : sets.begin()->second;
  DataSet data;
  const fs::path train_path = file_of(folder, prefix, files, Part::train, Kind::images);
  const fs::path train_labels = file_of(folder, prefix, files, Part::train, Kind::labels);
  const fs::path test_path = file_of(folder, prefix, files, Part::test, Kind::images);
  const fs::path test_labels = file_of(folder, prefix, files, Part::test, Kind::labels);
  const auto read = [](const fs::path& path, const fs::path& labels, Images& images) {
    images.labels = read_labels(labels, read_images(path, images), path);
  };
  auto test = std::async([&] { read(test_path, test_labels, data.test); });  // unpacked beside the other
  read(train_path, train_labels, data.train);
  test.get();
  if (!data.train.has_size_of(data.test))
    fail("{} has images of {}, {} of {}: expected one size (channels x height x width)", train_path.string(),
         size_of(data.train), test_path.string(), size_of(data.test));
  data.classes = largest_label(data) + 1;
  return data;
}

}  // namespace triseg
