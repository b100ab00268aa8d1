#include "data/dataset_readers.hpp"

#include "tests/data/data_folder.hpp"
#include "tests/error_of.hpp"
#include "network/recipes.hpp"

#include <gmock/gmock.h>

#include <initializer_list>

namespace triseg {
namespace {

using testing::AllOf;
using testing::HasSubstr;

/// An IDX file.
Bytes idx(std::uint32_t magic, std::initializer_list<std::uint32_t> dimensions, const Bytes& values) {
  Bytes bytes;
  append_big_endian(bytes, magic);
  for (std::uint32_t dimension : dimensions) append_big_endian(bytes, dimension);
  append(bytes, values);
  return bytes;
}

Bytes idx_images(std::uint32_t count, std::uint32_t rows, std::uint32_t columns, int start) {
  return idx(0x803, {count, rows, columns}, pattern(std::size_t{count} * rows * columns, start));
}

Bytes idx_labels(std::uint32_t count, std::uint32_t classes = 10) {
  Bytes labels;
  for (std::uint32_t i = 0; i < count; ++i) labels.push_back(static_cast<std::uint8_t>(i % classes));
  return idx(0x801, {count}, labels);
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

/// Fine labels from `start` on; coarse ones that are another number.
Bytes cifar100_records(int records, int start) {
  Bytes bytes;
  for (int i = 0; i < records; ++i) {
    bytes.push_back(static_cast<std::uint8_t>(19 - i));
    bytes.push_back(static_cast<std::uint8_t>(start + i));
    append(bytes, pattern(3072, start + i));
  }
  return bytes;
}

class ReaderTest : public DataFolder {
 protected:
  void write_gz(const std::string& name, const Bytes& bytes) const { write(name, gzipped(bytes)); }
  void write_idx() const {
    write(train_images, idx_images(30, 28, 28, 5));
    write(train_labels, idx_labels(30));
    write(test_images, idx_images(7, 28, 28, 9));
    write(test_labels, idx_labels(7));
  }
  void write_cifar10() const {
    for (int batch = 1; batch <= 5; ++batch)
      write("data_batch_" + std::to_string(batch) + ".bin", cifar_batch(3, batch));
    write("test_batch.bin", cifar_batch(4, 6));
  }
  void write_cifar100() const {
    write("train.bin", cifar100_records(10, 90));
    write("test.bin", cifar100_records(2, 5));
  }
  DataSet load() const { return load_data_set(folder.string()); }
  std::string error() const {
    return error_of([this] { load(); });
  }

  const std::string train_images = "train-images-idx3-ubyte", train_labels = "train-labels-idx1-ubyte",
                    test_images = "t10k-images-idx3-ubyte", test_labels = "t10k-labels-idx1-ubyte";
};

using IdxFolder = ReaderTest;
using Cifar10Folder = ReaderTest;
using Cifar100Folder = ReaderTest;
using AFolder = ReaderTest;

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
      ASSERT_THAT(error(), AllOf(HasSubstr(path(name) + ": offset " + std::to_string(size) + ": the file ends here"),
                                 HasSubstr("expected")));
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
    EXPECT_THAT(error(),
                HasSubstr(path(name) + ": offset " + std::to_string(whole.size()) + ": expected the end of the file"));
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
  EXPECT_THAT(error(),
              HasSubstr(path(train_labels) + ": offset 4: 29 labels, expected 30 as in " + path(train_images)));
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
  EXPECT_THAT(error(),
              AllOf(HasSubstr(train_images), HasSubstr("the file ends here, expected 4294967295 images of 28 x 28")));
}

TEST_F(IdxFolder, LabelsMayBeAnyByte) {
  write_idx();
  Bytes bytes = read(test_labels);
  bytes[8 + 3] = 255;
  write(test_labels, bytes);
  const DataSet data = load();
  EXPECT_EQ(data.test.labels[3], 255);
  EXPECT_EQ(data.classes, 256);
  EXPECT_THAT(error_of([&] { check_fit(make_recipe("lenet5").network, data); }), HasSubstr("has label 255 at image 3"));
}

TEST_F(IdxFolder, LabelsMayHaveTwoBytes) {
  write_idx();
  write(test_labels, idx(0xb01, {7}, {0, 0, 0, 1, 0, 255, 1, 0, 2, 3, 0x7f, 0xfe, 0x80, 0x01}));
  DataSet data = load();
  EXPECT_THAT(data.test.labels, testing::ElementsAre(0, 1, 255, 256, 515, 32766, 32769));
  EXPECT_EQ(data.classes, 32770);
  write(test_labels, idx(0xb01, {7}, Bytes(14, 0xff)));
  data = load();
  EXPECT_THAT(data.test.labels, testing::Each(65535));
  EXPECT_EQ(data.classes, 65536);
  const Bytes whole = read(test_labels);
  write(test_labels, Bytes(whole.begin(), whole.end() - 1));
  EXPECT_THAT(error(), HasSubstr(path(test_labels) + ": offset 21: the file ends here, expected 7 labels"));
}

TEST_F(IdxFolder, ClassesAreTheLargestLabelOfBothFilesAndOne) {
  write_idx();
  EXPECT_EQ(load().classes, 10);
  write(train_labels, idx_labels(30, 27));
  EXPECT_EQ(load().classes, 27);
  write(train_labels, idx_labels(30, 4));
  EXPECT_EQ(load().classes, 7);  // the test labels are 0 to 6
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
  const std::vector<std::uint16_t> labels = load().train.labels;
  const Bytes whole = read(name);
  std::size_t errors = 0;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write(name, Bytes(whole.begin(), whole.begin() + size));
    ASSERT_THAT(error(), AllOf(HasSubstr(path(name) + ": offset "), HasSubstr("expected")))
        << size << " of " << whole.size() << " bytes";
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

TEST_F(IdxFolder, FoldersAreNoFiles) {
  write_idx();
  remove(train_images);
  std::filesystem::create_directory(folder / train_images);
  EXPECT_THAT(error(), HasSubstr(folder.string() + ": expected the file " + train_images + " in it"));
  write("train-images.idx3-ubyte", idx_images(30, 28, 28, 5));  // as unpacked archives have it, a folder a file
  EXPECT_EQ(load().train.size(), 30u);
}

TEST_F(IdxFolder, GzipDataWithoutTheirChecksumAreAnError) {
  write_idx();
  for (const std::string& name : {train_images, train_labels, test_images, test_labels}) {
    const Bytes plain = read(name);
    const Bytes whole = gzipped(plain);
    remove(name);
    Bytes cut(whole.begin(), whole.end() - 8);
    write(name + ".gz", cut);
    EXPECT_THAT(error(),
                HasSubstr(path(name) + ".gz: offset " + std::to_string(plain.size()) + ": the file is cut off"));
    Bytes longer = whole;
    longer.push_back('x');
    write(name + ".gz", longer);
    EXPECT_THAT(error(), HasSubstr(path(name) + ".gz: offset " + std::to_string(plain.size()) + ": foreign data"));
    write(name + ".gz", whole);
    EXPECT_NO_THROW(load());
  }
}

TEST_F(IdxFolder, AChangedPixelInGzipDataIsAnError) {
  write_idx();
  const Bytes plain = read(test_images);
  Bytes changed = plain;
  changed[100] ^= 1;
  remove(test_images);
  const Bytes right = gzipped(plain);
  Bytes wrong = gzipped(changed);
  std::copy(right.end() - 8, right.end(), wrong.end() - 8);
  write(test_images + ".gz", wrong);
  EXPECT_THAT(error(),
              HasSubstr(": offset " + std::to_string(plain.size()) + ": damaged gzip data (incorrect data check)"));
}

TEST_F(IdxFolder, GzipMembersAreReadAsOneFile) {
  write_idx();
  const DataSet plain = load();
  const Bytes bytes = read(train_images);
  remove(train_images);
  Bytes packed = gzipped(Bytes(bytes.begin(), bytes.begin() + 9));  // within the header
  append(packed, gzipped(Bytes(bytes.begin() + 9, bytes.end())));
  write(train_images + ".gz", packed);
  EXPECT_EQ(load().sha256, plain.sha256);
}

TEST_F(IdxFolder, PackedDataUnderAPlainNameAreAnError) {
  write_idx();
  write(test_labels, gzipped(read(test_labels)));
  EXPECT_THAT(error(), AllOf(HasSubstr(path(test_labels) + ": offset 0: 0x1f8b"), HasSubstr("must end in .gz")));
}

TEST_F(IdxFolder, FilesSideBySideMustBeCopies) {
  write_idx();
  const DataSet plain = load();
  const std::string dotted = "train-images.idx3-ubyte";
  for (const std::string& name : {train_images, train_labels, test_images, test_labels})
    write_gz(name + ".gz", read(name));
  write(dotted, read(train_images));
  EXPECT_EQ(load().sha256, plain.sha256);
  Bytes other = read(train_images);
  other[20] ^= 1;
  write(dotted, other);
  EXPECT_THAT(error(), HasSubstr(path(dotted) + ": offset 20: expected the content of " + path(train_images)));
  remove(dotted);
  write_gz(train_images + ".gz", other);
  EXPECT_THAT(error(), HasSubstr(path(train_images) + ".gz: offset 20: expected the content of " + path(train_images)));
  write_gz(train_images + ".gz", read(train_images));
  write("test-labels-idx1-ubyte", idx_labels(6));
  EXPECT_THAT(error(),
              HasSubstr(path("test-labels-idx1-ubyte") + ": offset 7: expected the content of " + path(test_labels)));
}

TEST_F(IdxFolder, TrainingAndTestImagesHaveOneSize) {
  write_idx();
  write(test_images, idx_images(7, 28, 27, 9));
  EXPECT_THAT(error(),
              HasSubstr(path(train_images) + " has images of 1 x 28 x 28, " + path(test_images) + " of 1 x 28 x 27"));
  write(test_images, idx(0x804, {7, 3, 28, 28}, pattern(7 * 3 * 28 * 28, 1)));
  EXPECT_THAT(error(), HasSubstr(path(test_images) + " of 3 x 28 x 28"));
}

TEST_F(IdxFolder, OtherUsualNamesAreRead) {
  write_idx();
  const DataSet plain = load();
  for (const auto& [prefix, test] :
       {std::pair{"", "t10k"}, {"", "test"}, {"emnist-letters-", "test"}, {"emnist-letters-", "t10k"}})
    for (const std::string separator : {"-", "."})
      for (const bool packed : {false, true}) {
        std::filesystem::remove_all(folder);
        std::filesystem::create_directory(folder);
        const auto put = [&, &prefix = prefix](const std::string& name, const Bytes& bytes) {
          if (packed) write_gz(prefix + name + "-ubyte.gz", bytes);
          else write(prefix + name + "-ubyte", bytes);
        };
        put("train-images" + separator + "idx3", idx_images(30, 28, 28, 5));
        put("train-labels" + separator + "idx1", idx_labels(30));
        put(test + ("-images" + separator) + "idx3", idx_images(7, 28, 28, 9));
        put(test + ("-labels" + separator) + "idx1", idx_labels(7));
        write("emnist-letters-mapping.txt", {'1', ' ', '6', '5'});
        EXPECT_EQ(load().sha256, plain.sha256) << prefix << test << separator << packed;
      }
}

TEST_F(IdxFolder, SeveralSetsInOneFolderAreAnError) {
  write_idx();
  write("emnist-letters-train-images-idx3-ubyte", idx_images(30, 28, 28, 5));
  write_gz("emnist-digits-test-labels-idx1-ubyte.gz", idx_labels(5));
  EXPECT_THAT(error(), AllOf(HasSubstr(folder.string() + ": expected one data set, found 3: "), HasSubstr(train_images),
                             HasSubstr("emnist-letters-train-images-idx3-ubyte"),
                             HasSubstr("emnist-digits-test-labels-idx1-ubyte.gz"), HasSubstr("a folder of its own")));
}

TEST_F(IdxFolder, ASetWithAPrefixNamesItsMissingFile) {
  write("emnist-letters-train-images-idx3-ubyte", idx_images(30, 28, 28, 5));
  write("emnist-letters-train-labels-idx1-ubyte", idx_labels(30));
  EXPECT_THAT(error(), HasSubstr(folder.string() + ": expected the file emnist-letters-test-images-idx3-ubyte in it"));
}

TEST_F(IdxFolder, ColourImagesHaveTheirChannelsFirstOrLast) {
  write_idx();
  for (const std::uint32_t channels : {1u, 3u, 4u}) {
    const Bytes first = pattern(30 * channels * 6 * 5, 5), test = pattern(7 * channels * 6 * 5, 9);
    write(train_images, idx(0x804, {30, channels, 6, 5}, first));
    write(test_images, idx(0x804, {7, channels, 6, 5}, test));
    const DataSet data = load();
    EXPECT_EQ(data.train.channels, channels);
    EXPECT_EQ(data.train.height, 6);
    EXPECT_EQ(data.train.width, 5);
    EXPECT_EQ(data.train.pixels, first);
    Bytes last;
    for (std::uint32_t image = 0; image < 30; ++image)
      for (std::uint32_t pixel = 0; pixel < 6 * 5; ++pixel)
        for (std::uint32_t c = 0; c < channels; ++c) last.push_back(first[(image * channels + c) * 30 + pixel]);
    write(train_images, idx(0x804, {30, 6, 5, channels}, last));
    EXPECT_EQ(load().sha256, data.sha256);
  }
}

TEST_F(IdxFolder, ChannelsThatCouldBeEitherAxisAreAnError) {
  write_idx();
  write(train_images, idx(0x804, {30, 3, 5, 4}, pattern(30 * 60, 1)));
  EXPECT_THAT(error(), HasSubstr(path(train_images) +
                                 ": offset 8: images of 3 x 5 x 4, expected 1, 3 or 4 channels as the first or "
                                 "the last dimension, not as both"));
  write(train_images, idx(0x804, {30, 6, 3, 5}, pattern(30 * 90, 1)));
  EXPECT_THAT(error(), HasSubstr("offset 8: images of 6 x 3 x 5, expected 1, 3 or 4 channels"));
  write(train_images, idx(0x804, {30, 3, 0, 5}, {}));
  EXPECT_THAT(error(), HasSubstr("offset 12: a side of 0 pixels, expected 1 to 1024"));
}

TEST_F(Cifar10Folder, IsReadBatchByBatch) {
  write_cifar10();
  const DataSet data = load();
  EXPECT_EQ(data.train.channels, 3);
  EXPECT_EQ(data.train.height, 32);
  EXPECT_THAT(data.train.labels, testing::ElementsAre(1, 2, 3, 2, 3, 4, 3, 4, 5, 4, 5, 6, 5, 6, 7));
  EXPECT_THAT(data.test.labels, testing::ElementsAre(6, 7, 8, 9));
  const Bytes pixels = pattern(3072, 2 + 2);  // third record of the second batch
  EXPECT_TRUE(std::equal(pixels.begin(), pixels.end(), data.train.pixels.begin() + 5 * 3072));
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
  EXPECT_THAT(error(), HasSubstr("cannot read " + path(name)));
}

TEST_F(Cifar10Folder, HasTenClassesWhateverItsLabels) {
  write_cifar10();
  write("test_batch.bin", cifar_batch(1, 0));
  for (int batch = 1; batch <= 5; ++batch) write("data_batch_" + std::to_string(batch) + ".bin", cifar_batch(2, 0));
  EXPECT_EQ(load().classes, 10);
}

TEST_F(Cifar100Folder, IsReadWithItsFineLabels) {
  write_cifar100();
  const DataSet data = load();
  EXPECT_EQ(data.classes, 100);
  EXPECT_EQ(data.train.channels, 3);
  EXPECT_EQ(data.train.height, 32);
  EXPECT_EQ(data.train.width, 32);
  EXPECT_THAT(data.train.labels, testing::ElementsAre(90, 91, 92, 93, 94, 95, 96, 97, 98, 99));
  EXPECT_THAT(data.test.labels, testing::ElementsAre(5, 6));
  const Bytes pixels = pattern(3072, 90 + 3);
  EXPECT_TRUE(std::equal(pixels.begin(), pixels.end(), data.train.pixels.begin() + 3 * 3072));
}

TEST_F(Cifar100Folder, DamageIsAnError) {
  write_cifar100();
  const std::string name = "train.bin";
  const Bytes whole = read(name);
  for (const auto& [size, expected] : {std::pair{1, "the fine label of record 0"},
                                       {2, "the 3072 pixels of record 0"},
                                       {3075, "the fine label of record 1"},
                                       {6000, "the 3072 pixels of record 1"}}) {
    write(name, Bytes(whole.begin(), whole.begin() + size));
    EXPECT_THAT(error(), HasSubstr(path(name) + ": offset " + std::to_string(size) + ": the file ends here, expected " +
                                   expected));
  }
  Bytes foreign = whole;
  foreign[3074] = 20;
  write(name, foreign);
  EXPECT_THAT(error(), HasSubstr(path(name) + ": offset 3074: coarse label 20, expected 0 to 19"));
  foreign[3074] = 19;
  foreign[3075] = 100;
  write(name, foreign);
  EXPECT_THAT(error(), HasSubstr(path(name) + ": offset 3075: fine label 100, expected 0 to 99"));
  write(name, {});
  EXPECT_THAT(error(), HasSubstr(path(name) + ": offset 0: the file is empty, expected records of 3074 bytes"));
  write(name, whole);
  remove("test.bin");
  EXPECT_THAT(error(), HasSubstr("cannot read " + path("test.bin")));
}

TEST_F(AFolder, OfTwoKindsIsAnError) {
  write_cifar10();
  write_cifar100();
  EXPECT_THAT(error(),
              AllOf(HasSubstr(folder.string()), HasSubstr("CIFAR-10's data_batch_1.bin and CIFAR-100's train.bin")));
  remove("train.bin");
  write(test_labels, idx_labels(7));
  EXPECT_THAT(error(), HasSubstr("IDX files and CIFAR-10's data_batch_1.bin"));
}

}  // namespace
}  // namespace triseg
