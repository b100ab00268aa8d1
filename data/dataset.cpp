#include "data/dataset.hpp"

#include "data/dataset_readers.hpp"
#include "core/error.hpp"
#include "core/sha256.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace triseg {
namespace {

constexpr std::string_view fashion_mnist = "fashion-mnist";
constexpr std::string_view shapes = "shapes";
/// Where Debian's package dataset-fashion-mnist puts its files.
constexpr std::string_view fashion_mnist_folder = "/usr/share/datasets/fashion-mnist";

std::filesystem::path fashion_mnist_path() {
  const char* folder = std::getenv("TRISEG_FASHION_MNIST");
  const std::filesystem::path path = folder ? std::filesystem::path(folder) : std::filesystem::path(fashion_mnist_folder);
  if (!std::filesystem::is_directory(path))
    fail("data set fashion-mnist: {} is not a folder; install Debian's package dataset-fashion-mnist or set "
         "TRISEG_FASHION_MNIST to the folder of its four files", path.string());
  return path;
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
  return split == Split::test ? test.size() : split == Split::validation ? validation_size() : train.size() - validation_size();
}

std::string data_set_source(const std::string& name_or_folder) {
  if (name_or_folder == fashion_mnist || name_or_folder == shapes) return name_or_folder;
  const auto path = std::filesystem::absolute(name_or_folder).lexically_normal();
  return path.has_filename() ? path.string() : path.parent_path().string();
}

std::string data_set_name(const std::string& name_or_folder) {
  return std::filesystem::path(data_set_source(name_or_folder)).filename().string();
}

std::string content_sha256(const DataSet& data) {
  Sha256 sha;
  for (const Images* images : {&data.train, &data.test}) {
    sha.add(fmt::format("{} x {} x {} x {};", images->size(), images->channels, images->height, images->width));
    sha.add(std::as_bytes(std::span(images->pixels)));
    sha.add(std::as_bytes(std::span(images->labels)));
  }
  return sha.hex();
}

DataSet load_data_set(const std::string& name) {
  DataSet data;
  if (name == shapes) {
    data = make_shapes();
  } else if (name == fashion_mnist) {
    data = read_idx_folder(fashion_mnist_path());
  } else if (!std::filesystem::is_directory(name)) {
    fail("unknown data set '{}': expected {}, {} or a folder of IDX files or CIFAR-10 binary batches", name, fashion_mnist, shapes);
  } else if (is_cifar10_folder(name)) {
    data = read_cifar10_folder(name);
  } else {
    data = read_idx_folder(name);
  }
  data.name = data_set_name(name);
  data.source = data_set_source(name);
  data.sha256 = content_sha256(data);
  if (data.train.size() < 6 || data.test.size() == 0)
    fail("data set {}: expected at least 6 training images and one test image, found {} and {}", data.name, data.train.size(),
         data.test.size());
  return data;
}

void check_fit(const Network& network, const DataSet& data) {
  for (const Images* images : {&data.train, &data.test}) {
    const bool channels_fit = images->channels == network.input_channels || images->channels == 1;
    if (!channels_fit || images->height > network.input_side || images->width > network.input_side)
      fail("{} takes {} x {} x {} images; data set {} has {} x {} x {}", network.display_name, network.input_channels,
           network.input_side, network.input_side, data.name, images->channels, images->height, images->width);
    const auto largest = std::max_element(images->labels.begin(), images->labels.end());
    if (largest != images->labels.end() && *largest >= network.classes)
      fail("{} tells {} classes apart; data set {} has label {} at image {}", network.display_name, network.classes, data.name,
           *largest, largest - images->labels.begin());
  }
}

void fit_image(const Network& network, const Images& images, std::size_t i, std::span<std::uint8_t> out) {
  const int side = network.input_side, top = (side - images.height) / 2, left = (side - images.width) / 2;
  std::fill(out.begin(), out.end(), std::uint8_t{0});
  const auto image = images.image(i);
  for (int c = 0; c < network.input_channels; ++c) {
    const int from = images.channels == 1 ? 0 : c;
    for (int y = 0; y < images.height; ++y)
      std::memcpy(&out[(c * side + top + y) * side + left], &image[(from * images.height + y) * images.width], images.width);
  }
}

void quantize_images(const QuantizedNetwork& network, const Images& images, std::span<const std::uint32_t> indices,
                     std::span<std::uint8_t> out) {
  const int channels = network.network.input_channels, size = network.network.input_size(), plane = size / channels;
  std::vector<std::array<std::uint8_t, 256>> codes;
  for (int c = 0; c < channels; ++c) codes.push_back(input_codes(network, c));
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const auto image = out.subspan(i * size, size);
    fit_image(network.network, images, indices[i], image);
    for (int c = 0; c < channels; ++c)
      for (std::uint8_t& q : image.subspan(c * plane, plane)) q = codes[c][q];
  }
}

}  // namespace triseg
