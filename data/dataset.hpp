// Labelled 8-bit images and their splits.
#pragma once

#include "network/network.hpp"
#include "network/quantized_network.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace triseg {

/// Where images lie that are too many to be held in memory.
class ImageSource {
 public:
  virtual ~ImageSource() = default;
  /// The images of these indices, in any order. out: (indices, image size). Several threads may call it. Throws Error
  /// naming the file.
  virtual void read(std::span<const std::uint32_t> indices, std::span<std::uint8_t> out) const = 0;
};

/// Images of one size: their labels, and their pixels in memory or where to read them.
struct Images {
  int channels = 0;
  int height = 0;
  int width = 0;
  std::vector<std::uint8_t> pixels;                     // (N, channels, height, width); empty if there is a source
  std::vector<std::uint16_t> labels;                    // (N), 0..classes-1
  std::shared_ptr<const ImageSource> source = nullptr;  ///< of the pixels; null: `pixels` has them

  std::size_t size() const { return labels.size(); }
  int image_size() const { return channels * height * width; }
  bool has_size_of(const Images& other) const {
    return channels == other.channels && height == other.height && width == other.width;
  }
  /// The pixels of some images, in any order, wherever they lie. out: (indices, channels, height, width).
  void read(std::span<const std::uint32_t> indices, std::span<std::uint8_t> out) const;
};

/// The parts of a data set by use. Teacher training, calibration and the search see `search`; candidates are compared
/// on `validation`; the final report alone reads `test`.
enum class Split { search, validation, test };

std::string_view split_name(Split split);
/// Throws Error for a name other than search, validation, test.
Split parse_split(std::string_view name);

struct DataSet {
  std::string name;    ///< short: "fashion-mnist", "shapes", or the last component of a path, without .h5
  std::string source;  ///< what --data takes from any working directory: the name, or an absolute path
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
///   a file          HDF5, whose images are read as they are needed where they are many (data/dataset_readers.hpp)
/// DataSet::sha256 is computed, but taken from an HDF5 file that stores it: hashing all images of a large one would
/// take minutes at every start. Throws Error naming file, offset and what was expected there, or the several data sets
/// that a folder holds.
DataSet load_data_set(const std::string& name_or_path);

/// DataSet::source and DataSet::name of what --data names, without looking at it.
std::string data_set_source(const std::string& name_or_path);
std::string data_set_name(const std::string& name_or_path);

/// SHA-256 over sizes, pixels and labels of training and test images, which it reads in pieces. Names and file formats
/// are not in it. A label counts as one byte where all labels of the data set are below 256, else as two,
/// little-endian.
std::string content_sha256(const DataSet& data);

/// Of training and test images; 0 if there are none.
int largest_label(const DataSet& data);

/// What is odd about a data set, though it can be used, a line each: every split that has no image of a class that
/// another split has, as the splits of data that are sorted by class.
std::vector<std::string> warnings(const DataSet& data);

/// Throws Error unless the network can take these images: its channels or one, at most its height and width and
/// at least half of each, no more classes.
void check_fit(const Network& network, const DataSet& data);

/// Lays image i into a network's input geometry: centred and padded with pixel 0, one grey channel repeated.
/// out: (input channels, height, width) pixels.
void fit_image(const Network& network, const Images& images, std::size_t i, std::span<std::uint8_t> out);

/// The input codes of some images, in any order, read in pieces of 4 MiB. out: (indices, input channels, height,
/// width).
void quantize_images(const QuantizedNetwork& network, const Images& images, std::span<const std::uint32_t> indices,
                     std::span<std::uint8_t> out);

}  // namespace triseg
