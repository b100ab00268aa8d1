#include "core/error.hpp"
#include "core/hdf5/large_file.hpp"
#include "data/dataset_readers.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

namespace triseg {
namespace {

using hdf5::LargeFile;

constexpr const char* format_name = "triseg-images";
constexpr const char* digest_name = "content_sha256";
constexpr const char* class_names = "/class_names";
constexpr std::uint64_t largest_side = 1024;

class FileImages : public ImageSource {
 public:
  FileImages(std::shared_ptr<const LargeFile> file, std::string path)
      : file_(std::move(file)), path_(std::move(path)) {}
  void read(std::span<const std::uint32_t> indices, std::span<std::uint8_t> out) const override {
    file_->read_rows(path_, indices, out);
  }

 private:
  std::shared_ptr<const LargeFile> file_;
  std::string path_;
};

void check_layout(const std::string& where, const std::vector<std::uint64_t>& shape) {
  if (shape.size() != 4)
    fail("{}: an array of shape ({}), expected images as (N, channels, height, width)", where, fmt::join(shape, ", "));
  const auto is_channels = [](std::uint64_t n) { return n == 1 || n == 3 || n == 4; };
  if (!is_channels(shape[1]))
    fail("{}: images of shape ({}), expected (N, channels, height, width) with 1, 3 or 4 channels{}", where,
         fmt::join(shape, ", "),
         is_channels(shape[3]) ? ": the channels are last here; in NumPy, write images.transpose(0, 3, 1, 2)" : "");
  for (std::size_t i : {2, 3})
    if (shape[i] < 1 || shape[i] > largest_side)
      fail("{}: a side of {} pixels, expected 1 to {}", where, shape[i], largest_side);
  if (shape[0] > std::numeric_limits<std::uint32_t>::max())
    fail("{}: {} images, expected fewer than 2^32", where, shape[0]);
}

std::vector<std::uint16_t> read_labels(const LargeFile& file, const std::string& path, std::uint64_t images,
                                       std::int64_t classes) {
  const std::string where = fmt::format("{}: {}", file.name(), path);
  if (const auto shape = file.shape(path); shape != std::vector{images})
    fail("{}: an array of shape ({}), expected a label for each of the {} images beside it", where,
         fmt::join(shape, ", "), images);
  const std::vector<std::int64_t> values = file.read_integers(path);
  for (std::size_t i = 0; i < values.size(); ++i)
    if (values[i] < 0 || values[i] >= classes)
      fail("{}: label {} at image {}, expected 0 to {}", where, values[i], i, classes - 1);
  return {values.begin(), values.end()};
}

Images read_part(const std::shared_ptr<LargeFile>& file, const std::string& part, std::int64_t classes,
                 std::uint64_t held_bytes) {
  const std::string pixels = part + "/images", labels = part + "/labels";
  const std::vector<std::uint64_t> shape = file->open_rows(pixels);
  check_layout(fmt::format("{}: {}", file->name(), pixels), shape);
  Images images;
  images.channels = static_cast<int>(shape[1]);
  images.height = static_cast<int>(shape[2]);
  images.width = static_cast<int>(shape[3]);
  images.labels = read_labels(*file, labels, shape[0], classes);
  auto source = std::make_shared<const FileImages>(file, pixels);
  if (shape[0] * images.image_size() > held_bytes) {
    images.source = std::move(source);
  } else {
    std::vector<std::uint32_t> all(shape[0]);
    std::iota(all.begin(), all.end(), 0u);
    images.pixels.resize(all.size() * images.image_size());
    source->read(all, images.pixels);
  }
  return images;
}

/// The digest that the file stores, or "".
std::string stored_digest(const LargeFile& file) {
  const std::string digest = file.text_attribute(digest_name).value_or("");
  const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  if (!digest.empty() && (digest.size() != 64 || !std::all_of(digest.begin(), digest.end(), is_digit)))
    fail("{}: attribute {}: '{}', expected 64 hexadecimal digits; remove it, and every start reads all images for it",
         file.name(), digest_name, digest);
  return digest;
}

/// Throws Error unless the file holds a data set, whole or not.
void check_format(const LargeFile& file) {
  const std::string format = file.text_attribute("format").value_or(format_name);
  if (format != format_name) fail("{}: a file of format {}, expected images for --data", file.name(), format);
  const auto lacks = [&](const std::string& path) { return !file.has_dataset(path); };
  if (lacks("/train/images") || lacks("/train/labels"))
    fail(
        "{}: has no {}, expected the HDF5 file of a data set: /train/images, /train/labels, /test/images and "
        "/test/labels, as python3 -m triseg.images makes it",
        file.name(), lacks("/train/images") ? "/train/images" : "/train/labels");
  if (lacks("/test/images") || lacks("/test/labels"))
    fail("{}: has no {}: a search reports on test images that it has never seen; add them beside /train", file.name(),
         lacks("/test/images") ? "/test/images" : "/test/labels");
}

}  // namespace

bool is_hdf5_data_file(const std::filesystem::path& path) {
  try {
    const LargeFile file(path);
    return file.text_attribute("format") == format_name || file.has_dataset("/train/images");
  } catch (const Error&) {
    return false;
  }
}

DataSet read_hdf5_file(const std::filesystem::path& path, std::uint64_t held_bytes) {
  const auto file = std::make_shared<LargeFile>(path);
  check_format(*file);
  std::int64_t classes = std::numeric_limits<std::uint16_t>::max() + 1;
  const bool named = file->has_dataset(class_names);
  if (named) {
    const auto shape = file->shape(class_names);
    if (shape.size() != 1 || shape[0] < 1 || shape[0] > std::uint64_t(classes))
      fail("{}: {}: an array of shape ({}), expected a name for each class, 1 to {}", file->name(), class_names,
           fmt::join(shape, ", "), classes);
    classes = static_cast<std::int64_t>(shape[0]);
  }
  DataSet data;
  data.sha256 = stored_digest(*file);
  data.train = read_part(file, "/train", classes, held_bytes);
  data.test = read_part(file, "/test", classes, held_bytes);
  if (!data.train.has_size_of(data.test))
    fail("{}: /train has images of {} x {} x {}, /test of {} x {} x {}: expected one size (channels x height x width)",
         file->name(), data.train.channels, data.train.height, data.train.width, data.test.channels, data.test.height,
         data.test.width);
  data.classes = static_cast<int>(named ? classes : largest_label(data) + 1);
  return data;
}

std::vector<std::string> hdf5_data_violations(const std::filesystem::path& path) {
  try {
    const DataSet data = read_hdf5_file(path);
    if (data.sha256.empty()) return {};
    const std::string digest = content_sha256(data);
    if (digest == data.sha256) return {};
    return {fmt::format("attribute {} is {}, but the images and labels have {}: they were damaged or edited",
                        digest_name, data.sha256, digest)};
  } catch (const Error& error) {
    const std::string text = error.what(), start = path.string() + ": ";
    return {text.starts_with(start) ? text.substr(start.size()) : text};
  }
}

}  // namespace triseg
