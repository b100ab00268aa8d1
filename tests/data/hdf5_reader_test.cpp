#include "core/atomic_file.hpp"
#include "core/hdf5/hdf5.hpp"
#include "data/dataset_readers.hpp"
#include "tests/data/data_folder.hpp"
#include "tests/error_of.hpp"

#include <gmock/gmock.h>

#include <thread>

namespace triseg {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::uint64_t in_pieces = 0;  // bytes of pixels that may be held

/// 30 training and 7 test images, unless a test has others.
class Hdf5Reader : public DataFolder {
 protected:
  std::map<std::string, Values> datasets = {{"/train/images", images(30, 5)},
                                            {"/train/labels", labels(30)},
                                            {"/test/images", images(7, 9)},
                                            {"/test/labels", labels(7)}};
  std::map<std::string, std::string> attributes;

  static Values images(std::uint64_t count, int start, std::vector<std::uint64_t> size = {3, 20, 16}) {
    std::uint64_t n = count;
    for (const std::uint64_t side : size) n *= side;
    size.insert(size.begin(), count);
    return Values::array(std::span<const std::uint8_t>(pattern(n, start)), size);
  }

  static Values labels(std::uint64_t count, std::int32_t largest = 9) {
    std::vector<std::int32_t> values(count);
    for (std::uint64_t i = 0; i < count; ++i) values[i] = largest - static_cast<std::int32_t>(i % 5);
    return Values::array(std::span<const std::int32_t>(values), {count});
  }

  std::string write_file() const {
    hdf5::File file = hdf5::File::create();
    for (const auto& [path, values] : datasets) file.write_dataset(path, values);
    for (const auto& [name, text] : attributes) file.write_attribute("/", name, Values::string(text));
    commit_file(path("birds.h5"), file.close());
    return path("birds.h5");
  }

  std::string refusal() const {
    const std::string file = write_file();
    return error_of([&] { load_data_set(file); });
  }
};

TEST_F(Hdf5Reader, HoldsSmallPartsAndReadsLargeOnes) {
  const std::string file = write_file();
  const DataSet held = read_hdf5_file(file), pieces = read_hdf5_file(file, in_pieces);
  EXPECT_EQ(held.train.pixels, pattern(30 * 960, 5));
  EXPECT_EQ(held.test.pixels, pattern(7 * 960, 9));
  EXPECT_FALSE(held.train.source);
  EXPECT_TRUE(pieces.train.source && pieces.train.pixels.empty());
  for (const DataSet* data : {&held, &pieces}) {
    EXPECT_EQ(data->train.size(), 30u);
    EXPECT_EQ(data->train.labels[3], 6);
    EXPECT_EQ(data->classes, 10);
    const std::vector<std::uint32_t> indices = {29, 3, 4, 5, 4, 0, 28, 29};
    std::vector<std::uint8_t> out(indices.size() * 960);
    data->train.read(indices, out);
    for (std::size_t i = 0; i < indices.size(); ++i)
      EXPECT_TRUE(std::equal(&out[i * 960], &out[i * 960] + 960, &held.train.pixels[indices[i] * 960])) << i;
  }
  EXPECT_EQ(content_sha256(pieces), content_sha256(held));
}

TEST_F(Hdf5Reader, ReadsRunsThatAreLongerThanAPiece) {
  datasets["/train/images"] = images(100, 1, {1, 300, 310});  // 9.3 MB
  datasets["/train/labels"] = labels(100);
  datasets["/test/images"] = images(7, 1, {1, 300, 310});
  const DataSet pieces = read_hdf5_file(write_file(), in_pieces);
  std::vector<std::uint32_t> backwards(100);
  for (std::uint32_t i = 0; i < 100; ++i) backwards[i] = 99 - i;
  std::vector<std::uint8_t> out(100 * 93000);
  pieces.train.read(backwards, out);
  const Bytes all = pattern(out.size(), 1);
  for (std::size_t i = 0; i < 100; ++i)
    ASSERT_TRUE(std::equal(&out[i * 93000], &out[i * 93000] + 93000, &all[(99 - i) * 93000])) << i;
}

TEST_F(Hdf5Reader, ThreadsReadTheSame) {
  const DataSet pieces = read_hdf5_file(write_file(), in_pieces);
  const Bytes all = pattern(30 * 960, 5);
  std::vector<int> wrong(4);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&, t] {
        std::vector<std::uint8_t> out(960);
        for (std::uint32_t i = 0; i < 200; ++i) {
          const std::uint32_t index = (i * (t + 1)) % 30;
          pieces.train.read(std::span(&index, 1), out);
          wrong[t] += !std::equal(out.begin(), out.end(), &all[index * 960]);
        }
      });
  }
  EXPECT_THAT(wrong, ElementsAre(0, 0, 0, 0));
}

TEST_F(Hdf5Reader, TakesTheStoredDigestAndChecksItWhenAsked) {
  const std::string digest = content_sha256(load_data_set(write_file()));
  attributes["content_sha256"] = digest;
  EXPECT_EQ(load_data_set(write_file()).sha256, digest);
  EXPECT_THAT(hdf5_data_violations(write_file()), IsEmpty());
  datasets["/test/labels"] = labels(7, 8);
  EXPECT_EQ(load_data_set(write_file()).sha256, digest);
  EXPECT_THAT(hdf5_data_violations(write_file()), ElementsAre(HasSubstr("content_sha256 is " + digest + ", but")));
  attributes["content_sha256"] = "none";
  EXPECT_THAT(refusal(), HasSubstr("'none', expected 64 hexadecimal digits"));
}

TEST_F(Hdf5Reader, DamagedPiecesAreErrors) {
  write_file();
  Bytes bytes = read("birds.h5");
  const DataSet whole = load_data_set(path("birds.h5"));
  int refused = 0;
  for (std::size_t at = bytes.size() / 3; at < bytes.size(); at += 97) {
    Bytes damaged = bytes;
    damaged[at] ^= 0x10;
    write("damaged.h5", damaged);
    try {
      EXPECT_EQ(content_sha256(read_hdf5_file(path("damaged.h5"), in_pieces)), whole.sha256) << at;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("damaged.h5"));
      ++refused;
    }
  }
  EXPECT_GT(refused, 0);
}

TEST_F(Hdf5Reader, ClassNamesSayHowManyClasses) {
  std::vector<std::string> names;
  for (int i = 0; i < 12; ++i) names.push_back("class " + std::to_string(i));
  datasets["/class_names"] = Values::strings(names);
  EXPECT_EQ(load_data_set(write_file()).classes, 12);
  datasets["/train/labels"] = labels(30, 12);
  EXPECT_THAT(refusal(), HasSubstr("/train/labels: label 12 at image 0, expected 0 to 11"));
}

TEST_F(Hdf5Reader, LabelsHave16Bits) {
  datasets["/train/labels"] = labels(30, 65535);
  const DataSet data = load_data_set(write_file());
  EXPECT_EQ(data.train.labels[1], 65534);
  EXPECT_EQ(data.classes, 65536);
  for (const auto& [largest, what] : {std::pair{65536, "label 65536 at image 0"}, {3, "label -1 at image 4"}}) {
    datasets["/train/labels"] = labels(30, largest);
    EXPECT_THAT(refusal(), HasSubstr(std::string(what) + ", expected 0 to 65535"));
  }
}

TEST_F(Hdf5Reader, RefusesOtherShapesAndTypes) {
  datasets["/train/images"] = images(30, 1, {20, 16, 3});
  EXPECT_THAT(refusal(),
              AllOf(HasSubstr("/train/images: images of shape (30, 20, 16, 3), expected (N, channels, height"),
                    HasSubstr("images.transpose(0, 3, 1, 2)")));
  datasets["/train/images"] = images(30, 1, {20, 16});
  EXPECT_THAT(refusal(), HasSubstr("shape (30, 20, 16), expected images as (N, channels, height, width)"));
  datasets["/train/images"] = images(30, 1, {3, 20, 17});
  EXPECT_THAT(refusal(), HasSubstr("/train has images of 3 x 20 x 17, /test of 3 x 20 x 16: expected one size"));
  datasets["/train/images"] = labels(30);
  EXPECT_THAT(refusal(), HasSubstr("/train/images: expected unsigned integers of 8 bits (uint8)"));
  datasets["/train/images"] = images(30, 1);
  datasets["/train/labels"] = labels(29);
  EXPECT_THAT(refusal(),
              HasSubstr("/train/labels: an array of shape (29), expected a label for each of the 30 images"));
  datasets["/train/labels"] = Values::array(std::span<const double>(std::vector<double>(30)), {30});
  EXPECT_THAT(refusal(), HasSubstr("/train/labels: expected integers"));
}

TEST_F(Hdf5Reader, SaysWhatIsMissing) {
  const auto all = datasets;
  for (const char* part : {"/test/images", "/test/labels"}) {
    datasets = all;
    datasets.erase(part);
    EXPECT_THAT(refusal(), HasSubstr("has no " + std::string(part) + ": a search reports on test images"));
  }
  datasets = all;
  datasets.erase("/train/labels");
  EXPECT_THAT(refusal(), HasSubstr("has no /train/labels, expected the HDF5 file of a data set"));
  datasets = all;
  attributes["format"] = "triseg-run";
  EXPECT_THAT(refusal(), HasSubstr("a file of format triseg-run, expected images for --data"));
  write("text.h5", {1, 2, 3});
  EXPECT_THAT(error_of([&] { load_data_set(path("text.h5")); }), HasSubstr("expected a whole HDF5 file"));
  EXPECT_FALSE(is_hdf5_data_file(path("text.h5")));
}

}  // namespace
}  // namespace triseg
