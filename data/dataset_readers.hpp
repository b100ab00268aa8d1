// The file formats behind load_data_set. Offsets in errors count the bytes of the file, of the unpacked file if it is a
// .gz (data/input_file.hpp). Training and test images of different sizes are an error.
#pragma once

#include "data/dataset.hpp"

namespace triseg {

/// IDX files (http://yann.lecun.com/exdb/mnist: big-endian magic, dimensions, values), named as MNIST's and EMNIST's:
///   [PREFIX-]train-images-idx3-ubyte, [PREFIX-]train-labels-idx1-ubyte, and the same with t10k or test for train;
/// each plain or .gz, also with a dot before idx, with another number behind it, or with short for ubyte. The magic
/// number, not the name, says what a file holds:
///   0x803  grey images, N x H x W
///   0x804  colour images, N x C x H x W or N x H x W x C: the channels are that one of the second and the last
///          dimension that is 1, 3 or 4; an error if both or neither are
///   0x801  labels of one byte
///   0xb01  labels of two bytes, 0 to 65535: IDX calls the type signed, but no label is negative
/// Several names of one file (NAME and NAME.gz) must have equal content. Sets of several prefixes are an error.
/// Pixels stay where the file has them: EMNIST's images are transposed, and stay so. DataSet::classes: largest label
/// + 1.
DataSet read_idx_folder(const std::filesystem::path& folder);

/// data_batch_1.bin .. data_batch_5.bin and test_batch.bin: records of a label byte and 3 x 32 x 32 pixel bytes. 10
/// classes. Format: https://www.cs.toronto.edu/~kriz/cifar.html ("binary version").
DataSet read_cifar10_folder(const std::filesystem::path& folder);

/// train.bin and test.bin: records of a coarse label byte, which is left out, a fine one, and 3 x 32 x 32 pixel bytes.
/// 100 classes. Format: as above.
DataSet read_cifar100_folder(const std::filesystem::path& folder);

/// Whether the folder holds a file of such a set: any of its IDX files, data_batch_1.bin, train.bin.
bool is_idx_folder(const std::filesystem::path& folder);
bool is_cifar10_folder(const std::filesystem::path& folder);
bool is_cifar100_folder(const std::filesystem::path& folder);

/// One HDF5 file:
///   /train/images, /test/images  uint8 (N, channels, height, width), 1, 3 or 4 channels, sides of 1 to 1,024 pixels
///   /train/labels, /test/labels  integers of any width (N), 0 to 65,535, less than the number of class names
///   /class_names                 strings, one a class; may be absent, then DataSet::classes is the largest label + 1
///   attributes of the root       format: triseg-images, or absent; content_sha256: content_sha256(), or absent
/// Contiguous or in chunks, with every filter of the HDF5 library. DataSet::sha256 is the stored digest, unchecked, or
/// "". A part whose pixels take at most `held_bytes` is held in memory. Of a larger one, Images::source reads what is
/// asked for, and takes at most some 20 MiB (hdf5::LargeFile::read_rows); the file must stay as it is meanwhile.
DataSet read_hdf5_file(const std::filesystem::path& path, std::uint64_t held_bytes = std::uint64_t{64} << 20);

/// Whether it is an HDF5 file of images, in order or not.
bool is_hdf5_data_file(const std::filesystem::path& path);

/// What is wrong with such a file, a line each: reads all of it and compares the stored digest, if there is one.
std::vector<std::string> hdf5_data_violations(const std::filesystem::path& path);

/// 12,000 training and 2,000 test images, 28 x 28 grey: ten kinds of shapes at seeded places, sizes and contrasts under
/// noise.
DataSet make_shapes();

}  // namespace triseg
