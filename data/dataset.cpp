#include "data/dataset.hpp"

#include "core/error.hpp"
#include "core/sha256.hpp"
#include "data/dataset_readers.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <numeric>
#include <set>

namespace triseg {
namespace {

constexpr std::string_view fashion_mnist = "fashion-mnist";
constexpr std::string_view shapes = "shapes";
/// Where Debian's package dataset-fashion-mnist puts its files.
constexpr std::string_view fashion_mnist_folder = "/usr/share/datasets/fashion-mnist";

std::filesystem::path fashion_mnist_path() {
  const char* folder = std::getenv("TRISEG_FASHION_MNIST");
  const std::filesystem::path path =
      folder ? std::filesystem::path(folder) : std::filesystem::path(fashion_mnist_folder);
  if (!std::filesystem::is_directory(path))
    fail(
        "data set fashion-mnist: {} is not a folder; install Debian's package dataset-fashion-mnist or set "
        "TRISEG_FASHION_MNIST to the folder of its four files",
        path.string());
  return path;
}

/// What a folder may hold.
struct Format {
  std::string_view name;
  bool (*is_there)(const std::filesystem::path&);
  DataSet (*read)(const std::filesystem::path&);
};

DataSet read_folder(const std::filesystem::path& folder) {
  constexpr Format formats[] = {{"IDX files", is_idx_folder, read_idx_folder},
                                {"CIFAR-10's data_batch_1.bin", is_cifar10_folder, read_cifar10_folder},
                                {"CIFAR-100's train.bin", is_cifar100_folder, read_cifar100_folder}};
  const Format* found = nullptr;
  for (const Format& format : formats) {
    if (!format.is_there(folder)) continue;
    if (found)
      fail("{}: expected one data set, found {} and {}; give each a folder of its own", folder.string(), found->name,
           format.name);
    found = &format;
  }
  return found ? found->read(folder) : read_idx_folder(folder);  // whose error says what is missing
}

/// The pixels that are read at once, if more than one image.
constexpr std::size_t piece_bytes = std::size_t{4} << 20;

/// How many images a piece has.
std::size_t piece_images(const Images& images) {
  return std::max<std::size_t>(1, piece_bytes / std::max(1, images.image_size()));
}

/// "class 7", "the classes 7, 8", or the first ten and how many more.
std::string listed(const std::vector<int>& classes) {
  constexpr std::size_t most = 10;
  if (classes.size() == 1) return fmt::format("class {}", classes.front());
  const auto some = std::span(classes).first(std::min(classes.size(), most));
  const std::size_t rest = classes.size() - some.size();
  return fmt::format("the classes {}{}", fmt::join(some, ", "), rest ? fmt::format(" and {} more", rest) : "");
}

}  // namespace

std::string_view split_name(Split split) {
  return split == Split::search ? "search" : split == Split::validation ? "validation" : "test";
}

Split parse_split(std::string_view name) {
  for (Split split : {Split::search, Split::validation, Split::test})
    if (name == split_name(split)) return split;
  fail("unknown split '{}': expected search, validation or test", name);
}

std::size_t DataSet::validation_size() const { return std::min<std::size_t>(10000, train.size() / 6); }

std::size_t DataSet::split_size(Split split) const {
  return split == Split::test         ? test.size()
         : split == Split::validation ? validation_size()
                                      : train.size() - validation_size();
}

void Images::read(std::span<const std::uint32_t> indices, std::span<std::uint8_t> out) const {
  if (source) return source->read(indices, out);
  const std::size_t size = image_size();
  for (std::size_t i = 0; i < indices.size(); ++i) std::memcpy(&out[i * size], &pixels[indices[i] * size], size);
}

std::string data_set_source(const std::string& name_or_path) {
  if (name_or_path == fashion_mnist || name_or_path == shapes) return name_or_path;
  const auto path = std::filesystem::absolute(name_or_path).lexically_normal();
  return path.has_filename() ? path.string() : path.parent_path().string();
}

std::string data_set_name(const std::string& name_or_path) {
  const std::filesystem::path path(data_set_source(name_or_path));
  return (path.extension() == ".h5" ? path.stem() : path.filename()).string();
}

int largest_label(const DataSet& data) {
  int largest = 0;
  for (const Images* images : {&data.train, &data.test})
    for (const int label : images->labels) largest = std::max(largest, label);
  return largest;
}

std::string content_sha256(const DataSet& data) {
  const bool one_byte = largest_label(data) < 256;
  Sha256 sha;
  for (const Images* images : {&data.train, &data.test}) {
    sha.add(fmt::format("{} x {} x {} x {};", images->size(), images->channels, images->height, images->width));
    std::vector<std::uint8_t> pixels;
    for (std::size_t begin = 0; begin < images->size();) {
      std::vector<std::uint32_t> indices(std::min(piece_images(*images), images->size() - begin));
      std::iota(indices.begin(), indices.end(), static_cast<std::uint32_t>(begin));
      pixels.resize(indices.size() * images->image_size());
      images->read(indices, pixels);
      sha.add(std::as_bytes(std::span(pixels)));
      begin += indices.size();
    }
    std::vector<std::uint8_t> labels;
    for (const std::uint16_t label : images->labels) {
      labels.push_back(static_cast<std::uint8_t>(label));
      if (!one_byte) labels.push_back(static_cast<std::uint8_t>(label >> 8));
    }
    sha.add(std::as_bytes(std::span(labels)));
  }
  return sha.hex();
}

DataSet load_data_set(const std::string& name) {
  DataSet data;
  if (name == shapes) {
    data = make_shapes();
  } else if (name == fashion_mnist) {
    data = read_idx_folder(fashion_mnist_path());
  } else if (std::filesystem::is_directory(name)) {
    data = read_folder(name);
  } else if (std::filesystem::exists(name)) {
    data = read_hdf5_file(name);
  } else {
    fail(
        "unknown data set '{}': expected {}, {}, an HDF5 file of images, or a folder of IDX files or of CIFAR-10's or "
        "CIFAR-100's binary files",
        name, fashion_mnist, shapes);
  }
  data.name = data_set_name(name);
  data.source = data_set_source(name);
  if (data.train.size() < 6 || data.test.size() == 0)
    fail("data set {}: expected at least 6 training images and one test image, found {} and {}", data.name,
         data.train.size(), data.test.size());
  if (data.sha256.empty()) data.sha256 = content_sha256(data);
  return data;
}

std::vector<std::string> warnings(const DataSet& data) {
  constexpr std::array splits = {Split::search, Split::validation, Split::test};
  std::array<std::set<int>, splits.size()> classes;
  std::set<int> all;
  for (std::size_t i = 0; i < splits.size(); ++i) {
    const std::span all_labels(data.split_images(splits[i]).labels);
    const auto labels = all_labels.subspan(data.split_offset(splits[i]), data.split_size(splits[i]));
    classes[i] = {labels.begin(), labels.end()};
    all.insert(labels.begin(), labels.end());
  }
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < splits.size(); ++i) {
    std::vector<int> missing;
    std::set_difference(all.begin(), all.end(), classes[i].begin(), classes[i].end(), std::back_inserter(missing));
    if (missing.empty()) continue;
    std::string& line = lines.emplace_back(
        fmt::format("the {} split of {} has no image of {}", split_name(splits[i]), data.name, listed(missing)));
    if (splits[i] != Split::test)
      line += fmt::format(
          ": are the training images sorted by class? Validation is the last {} of them; shuffle images and "
          "labels alike",
          data.validation_size());
  }
  return lines;
}

void check_fit(const Network& network, const DataSet& data) {
  for (const Images* images : {&data.train, &data.test}) {
    const Shape& input = network.input;
    const bool channels_fit = images->channels == input.channels || images->channels == 1;
    if (!channels_fit || images->height > input.height || images->width > input.width)
      fail("{} takes {} x {} x {} images; data set {} has {} x {} x {}", network.display_name, input.channels,
           input.height, input.width, data.name, images->channels, images->height, images->width);
    if (2 * images->height < input.height || 2 * images->width < input.width)
      fail(
          "{} takes images of {} x {}; those of data set {}, {} x {}, would be border for the most part: enlarge them "
          "(python3 -m triseg.images)",
          network.display_name, input.height, input.width, data.name, images->height, images->width);
    const auto largest = std::max_element(images->labels.begin(), images->labels.end());
    if (largest != images->labels.end() && *largest >= network.classes)
      fail("{} tells {} classes apart; data set {} has label {} at image {}", network.display_name, network.classes,
           data.name, *largest, largest - images->labels.begin());
  }
}

namespace {

/// fit_image of these pixels, (channels, height, width) of `images`.
void lay_out(const Network& network, const Images& images, std::span<const std::uint8_t> pixels,
             std::span<std::uint8_t> out) {
  const Shape& input = network.input;
  const int top = (input.height - images.height) / 2, left = (input.width - images.width) / 2;
  std::fill(out.begin(), out.end(), std::uint8_t{0});
  for (int c = 0; c < input.channels; ++c) {
    const int from = images.channels == 1 ? 0 : c;
    for (int y = 0; y < images.height; ++y)
      std::memcpy(&out[(c * input.height + top + y) * input.width + left],
                  &pixels[(from * images.height + y) * images.width], images.width);
  }
}

}  // namespace

void fit_image(const Network& network, const Images& images, std::size_t i, std::span<std::uint8_t> out) {
  const auto index = static_cast<std::uint32_t>(i);
  std::vector<std::uint8_t> pixels(images.image_size());
  images.read(std::span(&index, 1), pixels);
  lay_out(network, images, pixels, out);
}

void quantize_images(const QuantizedNetwork& network, const Images& images, std::span<const std::uint32_t> indices,
                     std::span<std::uint8_t> out) {
  const Shape& input = network.network.input;
  const std::size_t channels = input.channels, size = input.size(), plane = input.positions(),
                    image_size = images.image_size();
  std::vector<std::array<std::uint8_t, 256>> codes;
  for (std::size_t c = 0; c < channels; ++c) codes.push_back(input_codes(network, static_cast<int>(c)));
  std::vector<std::uint8_t> pixels;
  while (!indices.empty()) {
    const auto piece = indices.first(std::min(piece_images(images), indices.size()));
    pixels.resize(piece.size() * image_size);
    images.read(piece, pixels);
    for (std::size_t i = 0; i < piece.size(); ++i) {
      const auto image = out.subspan(i * size, size);
      lay_out(network.network, images, std::span(pixels).subspan(i * image_size, image_size), image);
      for (std::size_t c = 0; c < channels; ++c)
        for (std::uint8_t& q : image.subspan(c * plane, plane)) q = codes[c][q];
    }
    indices = indices.subspan(piece.size());
    out = out.subspan(piece.size() * size);
  }
}

}  // namespace triseg
