#include "data/dataset_readers.hpp"

#include "tests/error_of.hpp"
#include "network/recipes.hpp"

#include <gmock/gmock.h>
#include <unistd.h>
#include <zlib.h>

#include <fstream>
#include <iterator>

namespace triseg {
namespace {

using testing::AllOf;
using testing::HasSubstr;

using Bytes = std::vector<std::uint8_t>;

void append_big_endian(Bytes& bytes, std::uint32_t value) {
  for (int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<std::uint8_t>(value >> shift));
}

Bytes pattern(std::size_t size, int start) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(start + i * 31);
  return bytes;
}

Bytes idx_images(std::uint32_t count, std::uint32_t rows, std::uint32_t columns, int start) {
  Bytes bytes;
  for (std::uint32_t value : {0x803u, count, rows, columns}) append_big_endian(bytes, value);
  const Bytes pixels = pattern(std::size_t{count} * rows * columns, start);
  bytes.insert(bytes.end(), pixels.begin(), pixels.end());
  return bytes;
}

Bytes idx_labels(std::uint32_t count) {
  Bytes bytes;
  for (std::uint32_t value : {0x801u, count}) append_big_endian(bytes, value);
  for (std::uint32_t i = 0; i < count; ++i) bytes.push_back(static_cast<std::uint8_t>(i % 10));
  return bytes;
}

Bytes cifar_batch(int records, int start) {
  Bytes bytes;
  for (int i = 0; i < records; ++i) {
    bytes.push_back(static_cast<std::uint8_t>((start + i) % 10));
    const Bytes pixels = pattern(3072, start + i);
    bytes.insert(bytes.end(), pixels.begin(), pixels.end());
  }
  return bytes;
}

/// A folder of data files that lasts as long as the test.
class DataFolder : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "triseg-data-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  void write(const std::string& name, const Bytes& bytes) const {
    std::ofstream(folder / name, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
  }
  Bytes read(const std::string& name) const {
    std::ifstream file(folder / name, std::ios::binary);
    return Bytes(std::istreambuf_iterator<char>(file), {});
  }
  void write_gz(const std::string& name, const Bytes& bytes) const {
    gzFile file = gzopen((folder / name).c_str(), "wb");
    ASSERT_EQ(gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())), int(bytes.size()));
    ASSERT_EQ(gzclose(file), Z_OK);
  }
  void write_idx() const {
    write(train_images, idx_images(30, 28, 28, 5));
    write(train_labels, idx_labels(30));
    write(test_images, idx_images(7, 28, 28, 9));
    write(test_labels, idx_labels(7));
  }
  void write_cifar10() const {
    for (int batch = 1; batch <= 5; ++batch) write("data_batch_" + std::to_string(batch) + ".bin", cifar_batch(3, batch));
    write("test_batch.bin", cifar_batch(4, 6));
  }
  DataSet load() const { return load_data_set(folder.string()); }
  std::string error() const {
    return error_of([this] { load(); });
  }
  std::string path(const std::string& name) const { return (folder / name).string(); }

  const std::string train_images = "train-images-idx3-ubyte", train_labels = "train-labels-idx1-ubyte",
                    test_images = "t10k-images-idx3-ubyte", test_labels = "t10k-labels-idx1-ubyte";
  std::filesystem::path folder;
};

using IdxFolder = DataFolder;
using Cifar10Folder = DataFolder;

TEST_F(IdxFolder, IsReadPlain) {
  write_idx();
  const DataSet data = load();
  EXPECT_EQ(data.name, folder.filename());
  EXPECT_EQ(data.source, folder);
  EXPECT_EQ(data.sha256, content_sha256(data));
  EXPECT_EQ(data.train.size(), 30u);
  EXPECT_EQ(data.train.pixels, pattern(30 * 28 * 28, 5));
  EXPECT_EQ(data.train.labels[29], 9);
  EXPECT_EQ(data.test.pixels, pattern(7 * 28 * 28, 9));
  EXPECT_EQ(data.test.channels, 1);
}

TEST_F(IdxFolder, IsReadCompressedAndNotSquare) {
  write_gz(train_images + ".gz", idx_images(12, 20, 16, 1));
  write_gz(train_labels + ".gz", idx_labels(12));
  write_gz(test_images + ".gz", idx_images(2, 20, 16, 2));
  write(test_labels, idx_labels(2));
  const DataSet data = load();
  EXPECT_EQ(data.train.height, 20);
  EXPECT_EQ(data.train.width, 16);
  EXPECT_EQ(data.train.pixels, pattern(12 * 20 * 16, 1));
}

TEST_F(IdxFolder, EveryTruncationNamesFileAndOffset) {
  write_idx();
  for (const std::string& name : {train_images, train_labels, test_images, test_labels}) {
    const Bytes whole = read(name);
    for (std::size_t size = 0; size < whole.size(); size += size < 20 ? 1 : 997) {
      write(name, Bytes(whole.begin(), whole.begin() + size));
      ASSERT_THAT(error(), AllOf(HasSubstr(path(name) + ": offset " + std::to_string(size) + ": the file ends here"), HasSubstr("expected")));
    }
    write(name, whole);
  }
  EXPECT_NO_THROW(load());
}

TEST_F(IdxFolder, TrailingDataIsAnError) {
  write_idx();
  for (const std::string& name : {train_images, test_labels}) {
    const Bytes whole = read(name);
    Bytes longer = whole;
    longer.push_back(0);
    write(name, longer);
    EXPECT_THAT(error(), HasSubstr(path(name) + ": offset " + std::to_string(whole.size()) + ": expected the end of the file"));
    write(name, whole);
  }
}

TEST_F(IdxFolder, ForeignFilesAreErrors) {
  write_idx();
  const Bytes images = read(train_images), labels = read(train_labels);
  write(train_images, labels);
  EXPECT_THAT(error(), HasSubstr(path(train_images) + ": offset 0: 0x00000801, expected 0x00000803"));
  write(train_images, images);
  write(train_labels, images);
  EXPECT_THAT(error(), HasSubstr(path(train_labels) + ": offset 0: 0x00000803, expected 0x00000801"));
  const std::string text = "<!DOCTYPE html><html>not found</html>";
  write(train_labels, Bytes(text.begin(), text.end()));
  EXPECT_THAT(error(), HasSubstr("offset 0: 0x3c21444f"));
}

TEST_F(IdxFolder, CountsAndSidesAreChecked) {
  write_idx();
  write(train_labels, idx_labels(29));
  EXPECT_THAT(error(), HasSubstr(path(train_labels) + ": offset 4: 29 labels, expected 30 as in " + path(train_images)));
  write_idx();
  Bytes bytes = read(train_images);
  bytes[8] = 0xff;  // rows
  write(train_images, bytes);
  EXPECT_THAT(error(), HasSubstr("offset 8: a side of 4278190108 pixels, expected 1 to 1024"));
  bytes[8] = 0;
  bytes[15] = 0;  // columns
  write(train_images, bytes);
  EXPECT_THAT(error(), HasSubstr("offset 12: a side of 0 pixels"));
  bytes[15] = 28;
  for (int i : {4, 5, 6, 7}) bytes[i] = 0xff;  // 4,294,967,295 images: terabytes, if the header were believed
  write(train_images, bytes);
  EXPECT_THAT(error(), AllOf(HasSubstr(train_images), HasSubstr("the file ends here, expected 4294967295 images of 28 x 28")));
}

TEST_F(IdxFolder, LabelsAboveNineAreErrors) {
  write_idx();
  Bytes bytes = read(test_labels);
  bytes[8 + 3] = 10;
  write(test_labels, bytes);
  EXPECT_THAT(error(), HasSubstr(path(test_labels) + ": offset 11: label 10, expected 0 to 9"));
}

TEST_F(IdxFolder, MissingFilesAndEmptySetsAreErrors) {
  EXPECT_THAT(error(), AllOf(HasSubstr(folder.string()), HasSubstr(train_images)));
  write_idx();
  std::filesystem::remove(folder / test_labels);
  EXPECT_THAT(error(), HasSubstr(test_labels));
  write_idx();
  write(train_images, idx_images(5, 28, 28, 0));
  write(train_labels, idx_labels(5));
  EXPECT_THAT(error(), HasSubstr("expected at least 6 training images and one test image, found 5 and 7"));
}

TEST_F(IdxFolder, DamagedGzipIsAnErrorWherever) {
  write_idx();
  std::filesystem::remove(folder / train_labels);
  const std::string name = train_labels + ".gz";
  write_gz(name, idx_labels(30));
  const Bytes labels = load().train.labels, whole = read(name);
  std::size_t errors = 0;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write(name, Bytes(whole.begin(), whole.begin() + size));
    ASSERT_THAT(error(), AllOf(HasSubstr(path(name) + ": offset "), HasSubstr("expected"))) << size << " of " << whole.size() << " bytes";
  }
  for (std::size_t i = 10; i < whole.size(); ++i) {  // behind the header, whose time and system bytes mean nothing
    Bytes damaged = whole;
    damaged[i] ^= 0x10;
    write(name, damaged);
    try {  // a flip in unused bits, or to an equivalent code, leaves the data as they were
      EXPECT_EQ(load().train.labels, labels) << "byte " << i;
    } catch (const Error& error) {
      ++errors;
      EXPECT_THAT(error.what(), AllOf(HasSubstr(path(name) + ": offset "), HasSubstr("expected"))) << "byte " << i;
    }
  }
  EXPECT_GE(errors, whole.size() - 12);
}

TEST_F(IdxFolder, AFolderInPlaceOfAFileIsAnError) {
  write_idx();
  std::filesystem::remove(folder / train_images);
  std::filesystem::create_directory(folder / train_images);
  EXPECT_THAT(error(), AllOf(HasSubstr(path(train_images)), HasSubstr("cannot be")));
}

TEST_F(Cifar10Folder, IsReadBatchByBatch) {
  write_cifar10();
  const DataSet data = load();
  EXPECT_EQ(data.train.channels, 3);
  EXPECT_EQ(data.train.height, 32);
  EXPECT_THAT(data.train.labels, testing::ElementsAre(1, 2, 3, 2, 3, 4, 3, 4, 5, 4, 5, 6, 5, 6, 7));
  EXPECT_THAT(data.test.labels, testing::ElementsAre(6, 7, 8, 9));
  const Bytes pixels = pattern(3072, 2 + 2);  // third record of the second batch
  EXPECT_TRUE(std::equal(pixels.begin(), pixels.end(), data.train.image(5).begin()));
  EXPECT_NO_THROW(check_fit(make_recipe("alexnet").network, data));
}

TEST_F(Cifar10Folder, TruncatedEmptyForeignAndMissingBatchesAreErrors) {
  write_cifar10();
  const std::string name = "data_batch_4.bin";
  const Bytes whole = read(name);
  for (std::size_t size : {1u, 2u, 3072u, 3074u, 9218u}) {
    write(name, Bytes(whole.begin(), whole.begin() + size));
    EXPECT_THAT(error(), AllOf(HasSubstr(path(name) + ": offset " + std::to_string(size) + ": the file ends here"),
                               HasSubstr("expected the 3072 pixels of record " + std::to_string((size - 1) / 3073))));
  }
  write(name, {});
  EXPECT_THAT(error(), HasSubstr(path(name) + ": offset 0: the file is empty"));
  Bytes foreign = whole;
  foreign[3073] = 200;
  write(name, foreign);
  EXPECT_THAT(error(), HasSubstr(path(name) + ": offset 3073: label 200, expected 0 to 9"));
  std::filesystem::remove(folder / name);
  EXPECT_THAT(error(), HasSubstr(path(name) + ": cannot be opened"));
}

}  // namespace
}  // namespace triseg
