// The file formats behind load_data_set. Offsets in errors count the bytes of the file, of the unpacked file if it is a .gz.
#pragma once

#include "data/dataset.hpp"

namespace triseg {

/// train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, each plain or .gz.
/// Format: http://yann.lecun.com/exdb/mnist (big-endian magic, dimensions, bytes).
DataSet read_idx_folder(const std::filesystem::path& folder);

/// True if the folder holds data_batch_1.bin.
bool is_cifar10_folder(const std::filesystem::path& folder);

/// data_batch_1.bin .. data_batch_5.bin and test_batch.bin: records of a label byte and 3 x 32 x 32 pixel bytes.
/// Format: https://www.cs.toronto.edu/~kriz/cifar.html ("binary version").
DataSet read_cifar10_folder(const std::filesystem::path& folder);

/// 12,000 training and 2,000 test images, 28 x 28 grey: ten kinds of shapes at seeded places, sizes and contrasts under noise.
DataSet make_shapes();

}  // namespace triseg
