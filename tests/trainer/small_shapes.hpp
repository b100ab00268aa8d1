#pragma once

#include "data/dataset.hpp"

#include <unistd.h>

namespace triseg {

/// The first `train` and `test` images of shapes; a sixth of the training images is validation.
inline DataSet small_shapes(std::size_t train, std::size_t test) {
  static const DataSet all = load_data_set("shapes");
  DataSet data = all;
  const auto keep = [](Images& images, std::size_t n) {
    images.labels.resize(n);
    images.pixels.resize(n * images.image_size());
  };
  keep(data.train, train);
  keep(data.test, test);
  return data;
}

/// A folder of this test, emptied.
inline std::filesystem::path scratch_folder(const std::string& name) {
  const auto folder = std::filesystem::temp_directory_path() / ("triseg_" + name + "_" + std::to_string(::getpid()));
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  return folder;
}

}  // namespace triseg
