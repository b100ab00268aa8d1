// Labelled 8-bit images and their splits.
#pragma once

#include "network/network.hpp"
#include "network/quantized_network.hpp"

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace triseg {

/// Images of one size, as they lie in the files.
struct Images {
  int channels = 0;
  int height = 0;
  int width = 0;
  std::vector<std::uint8_t> pixels;   // (N, channels, height, width)
  std::vector<std::uint16_t> labels;  // (N), 0..classes-1

  std::size_t size() const { return labels.size(); }
  int image_size() const { return channels * height * width; }
  std::span<const std::uint8_t> image(std::size_t i) const {
    return std::span(pixels).subspan(i * image_size(), image_size());
  }
};

/// The parts of a data set by use. Teacher training, calibration and the search see `search`; candidates are compared
/// on `validation`; the final report alone reads `test`.
enum class Split { search, validation, test };

std::string_view split_name(Split split);
/// Throws Error for a name other than search, validation, test.
Split parse_split(std::string_view name);

struct DataSet {
  std::string name;    ///< short: "fashion-mnist", "shapes", or the last component of a folder
  std::string source;  ///< what --data takes from any working directory: the name, or a folder's absolute path
  std::string sha256;  ///< content_sha256: what the data set is, whatever its name and place
  int classes = 10;    ///< largest label that the format or the files have, + 1
  Images train;  ///< search, then validation: the last 10,000 images, or a sixth of them if there are fewer than 60,000
  Images test;

  std::size_t validation_size() const;
  std::size_t split_size(Split split) const;
  /// The images that hold the split; image i of the split is image split_offset(split) + i of it.
  const Images& split_images(Split split) const { return split == Split::test ? test : train; }
  std::size_t split_offset(Split split) const {
    return split == Split::validation ? train.size() - validation_size() : 0;
  }
};

/// Loads what --data names:
///   fashion-mnist   the IDX files of Debian's dataset-fashion-mnist (or of the folder in $TRISEG_FASHION_MNIST)
///   shapes          a small data set made here: ten kinds of shapes, seeded, nothing to download
///   a folder        of IDX files in the naming of MNIST or EMNIST, plain or .gz, or of the binary files of CIFAR-10 or
///                   CIFAR-100 (data/dataset_readers.hpp)
/// Throws Error naming file, offset and what was expected there, or the several data sets that a folder holds.
DataSet load_data_set(const std::string& name_or_folder);

/// DataSet::source and DataSet::name of what --data names, without looking at it.
std::string data_set_source(const std::string& name_or_folder);
std::string data_set_name(const std::string& name_or_folder);

/// SHA-256 over sizes, pixels and labels of training and test images. Names and file formats are not in it. A label
/// counts as one byte where all labels of the data set are below 256, else as two, little-endian.
std::string content_sha256(const DataSet& data);

/// What is odd about a data set, though it can be used, a line each: every split that has no image of a class that
/// another split has, as the splits of data that are sorted by class.
std::vector<std::string> warnings(const DataSet& data);

/// Throws Error unless the network can take these images: its channels or one, at most its height and width, no more
/// classes.
void check_fit(const Network& network, const DataSet& data);

/// Lays image i into a network's input geometry: centred and padded with pixel 0, one grey channel repeated.
/// out: (input channels, height, width) pixels.
void fit_image(const Network& network, const Images& images, std::size_t i, std::span<std::uint8_t> out);

/// The input codes of some images. out: (indices, input channels, height, width).
void quantize_images(const QuantizedNetwork& network, const Images& images, std::span<const std::uint32_t> indices,
                     std::span<std::uint8_t> out);

}  // namespace triseg
