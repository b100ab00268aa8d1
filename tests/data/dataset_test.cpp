#include "data/dataset.hpp"

#include "tests/error_of.hpp"
#include "network/recipes.hpp"

#include <gmock/gmock.h>
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace triseg {
namespace {

using testing::HasSubstr;

DataSet small_data(int channels, int side, std::size_t train, std::size_t test) {
  DataSet data;
  data.name = "small";
  for (auto [images, count] : {std::pair{&data.train, train}, std::pair{&data.test, test}}) {
    *images = Images{channels, side, side, {}, {}};
    images->labels.resize(count);
    images->pixels.resize(count * images->image_size());
    for (std::size_t i = 0; i < images->pixels.size(); ++i) images->pixels[i] = static_cast<std::uint8_t>(i * 37 % 251);
  }
  return data;
}

std::uint32_t checksum(const std::vector<std::uint8_t>& bytes) {
  return static_cast<std::uint32_t>(crc32(0, bytes.data(), static_cast<unsigned>(bytes.size())));
}

TEST(Split, NamesRoundTrip) {
  for (Split split : {Split::search, Split::validation, Split::test}) EXPECT_EQ(parse_split(split_name(split)), split);
  EXPECT_THAT(error_of([] { parse_split("train"); }),
              HasSubstr("unknown split 'train': expected search, validation or test"));
}

TEST(Split, TheLastImagesAreValidation) {
  for (const auto& [train, validation] :
       {std::pair{60000, 10000}, {70000, 10000}, {50000, 8333}, {12000, 2000}, {6, 1}}) {
    DataSet data;
    data.train.labels.resize(train);
    data.test.labels.resize(17);
    EXPECT_EQ(data.validation_size(), validation);
    EXPECT_EQ(data.split_size(Split::search), train - validation);
    EXPECT_EQ(data.split_size(Split::validation), validation);
    EXPECT_EQ(data.split_size(Split::test), 17u);
    EXPECT_EQ(data.split_offset(Split::search), 0u);
    EXPECT_EQ(data.split_offset(Split::validation), train - validation);
    EXPECT_EQ(data.split_offset(Split::test), 0u);
    EXPECT_EQ(&data.split_images(Split::validation), &data.train);
    EXPECT_EQ(&data.split_images(Split::test), &data.test);
  }
}

TEST(DataSetName, IsTheNameOrTheLastComponent) {
  EXPECT_EQ(data_set_name("fashion-mnist"), "fashion-mnist");
  EXPECT_EQ(data_set_name("shapes"), "shapes");
  EXPECT_EQ(data_set_name("/data/cifar-10"), "cifar-10");
  EXPECT_EQ(data_set_name("data/./cifar-10/"), "cifar-10");
  EXPECT_EQ(data_set_name("/data/birds.h5"), "birds");
  EXPECT_EQ(data_set_name("."), std::filesystem::current_path().filename());
}

TEST(DataSetSource, IsWhatDataTakesFromAnywhere) {
  EXPECT_EQ(data_set_source("shapes"), "shapes");
  EXPECT_EQ(data_set_source("/data/./cifar-10/"), "/data/cifar-10");
  EXPECT_EQ(data_set_source("cifar-10"), (std::filesystem::current_path() / "cifar-10").string());
}

TEST(ContentSha256, CoversEverythingButNameAndSource) {
  const DataSet data = small_data(1, 4, 6, 2);
  const std::string digest = content_sha256(data);
  const auto changed = [&](auto change) {
    DataSet other = data;
    change(other);
    return content_sha256(other);
  };
  EXPECT_EQ(changed([](DataSet& d) { d.name = "other", d.source = "/other"; }), digest);
  EXPECT_NE(changed([](DataSet& d) { d.train.pixels[5] ^= 1; }), digest);
  EXPECT_NE(changed([](DataSet& d) { d.train.labels[5] ^= 1; }), digest);
  EXPECT_NE(changed([](DataSet& d) { d.test.pixels[5] ^= 1; }), digest);
  EXPECT_NE(changed([](DataSet& d) { d.test.labels[1] ^= 1; }), digest);
  EXPECT_NE(changed([](DataSet& d) { d.train.height = 2, d.train.width = 8; }), digest);
}

/// Digests of the documented bytes, computed with Python's hashlib.
TEST(ContentSha256, LabelsAreOneByteUnlessOneIsAbove255) {
  DataSet data = small_data(1, 2, 6, 1);
  std::fill(data.train.pixels.begin(), data.train.pixels.end(), 7);
  std::fill(data.test.pixels.begin(), data.test.pixels.end(), 8);
  data.train.labels = {0, 1, 2, 3, 4, 255};
  data.test.labels = {9};
  EXPECT_EQ(content_sha256(data), "2d39acb95bb4f670dbe152d6266dc563f6d8def8dbe11ed06f090572a78fe857");
  data.test.labels = {256};
  EXPECT_EQ(content_sha256(data), "ab79f34eadf7f486ddd906da96f5763ed0cc7f151e39b476a7793ff8ae70f66b");
  data.test.labels = {9};
  data.train.labels.back() = 65535;
  EXPECT_EQ(content_sha256(data), "0928c0dde818d952c77189a5d7805c507d075b0bd48ee56f5080191e1eaa89c3");
}

TEST(Warnings, EverySplitThatLacksAClassOfAnother) {
  DataSet data = small_data(1, 2, 12, 3);  // validation: the last two
  data.train.labels = {0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2};
  data.test.labels = {2, 1, 0};
  EXPECT_THAT(warnings(data),
              testing::ElementsAre(HasSubstr("the validation split of small has no image of class 0: are the")));
  data.train.labels = {0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 2, 3};
  EXPECT_THAT(warnings(data),
              testing::ElementsAre(HasSubstr("the search split of small has no image of the classes 2, 3: are the "
                                             "training images sorted by class? Validation is "
                                             "the last 2 of them"),
                                   HasSubstr("the validation split of small has no image of the classes 0, 1: "),
                                   testing::StrEq("the test split of small has no image of class 3")));
  data = small_data(1, 2, 60, 20);
  for (std::size_t i = 0; i < 60; ++i) data.train.labels[i] = i / 5 % 2 ? 1000 : 1001;
  data.test.labels.assign(20, 1000);
  data.test.labels[7] = 1001;
  EXPECT_THAT(warnings(data), testing::IsEmpty());  // a class that no split has is no gap
  for (std::size_t i = 0; i < 50; ++i) data.train.labels[i] = static_cast<std::uint16_t>(i % 15);
  EXPECT_THAT(warnings(data)[1], HasSubstr("has no image of the classes 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 5 more: "));
}

TEST(LoadDataSet, FashionMnistIsTheOneOfItsPackage) {
  const DataSet data = load_data_set("fashion-mnist");
  EXPECT_EQ(data.name, "fashion-mnist");
  EXPECT_EQ(data.source, "fashion-mnist");
  EXPECT_EQ(data.sha256, "9fc08bde62ec7d86bcfdcbcefa0612edc0130bcb14bc0a2dda3f1df45fc93954");  // computed in Python
  ASSERT_EQ(data.train.size(), 60000u);
  ASSERT_EQ(data.test.size(), 10000u);
  EXPECT_EQ(data.train.image_size(), 28 * 28);
  EXPECT_EQ(data.classes, 10);
  EXPECT_THAT(warnings(data), testing::IsEmpty());
  EXPECT_THAT(std::span(data.train.labels).first(10), testing::ElementsAre(9, 0, 0, 3, 0, 2, 7, 2, 5, 5));
  EXPECT_THAT(std::span(data.test.labels).first(10), testing::ElementsAre(9, 2, 1, 1, 6, 1, 4, 6, 5, 7));
  for (int label = 0; label < 10; ++label) {
    EXPECT_EQ(std::count(data.train.labels.begin(), data.train.labels.end(), label), 6000);
    EXPECT_EQ(std::count(data.test.labels.begin(), data.test.labels.end(), label), 1000);
  }
  EXPECT_NEAR(std::accumulate(data.train.pixels.begin(), data.train.pixels.end(), 0.0) / data.train.pixels.size(),
              72.94, 0.01);
  EXPECT_NO_THROW(check_fit(make_recipe("alexnet").network, data));
}

TEST(LoadDataSet, ShapesAreTheSameBytesEveryTime) {
  const DataSet data = load_data_set("shapes");
  EXPECT_EQ(data.name, "shapes");
  EXPECT_EQ(data.classes, 10);
  EXPECT_THAT(warnings(data), testing::IsEmpty());
  EXPECT_EQ(data.train.size(), 12000u);
  EXPECT_EQ(data.test.size(), 2000u);
  EXPECT_EQ(checksum(data.train.pixels), 362658130u);
  EXPECT_EQ(checksum(data.test.pixels), 2623718172u);
  for (const Images* images : {&data.train, &data.test}) {
    std::vector<int> count(10);
    for (int label : images->labels) ++count.at(label);
    EXPECT_THAT(count, testing::Each(int(images->size() / 10)));
  }
  EXPECT_NO_THROW(check_fit(make_recipe("lenet5").network, data));
}

TEST(LoadDataSet, UnknownNamesAreErrors) {
  EXPECT_THAT(error_of([] { load_data_set("imagenet"); }),
              HasSubstr("unknown data set 'imagenet': expected fashion-mnist, shapes"));
}

TEST(CheckFit, RefusesWhatTheNetworkCannotTake) {
  const Network n = make_recipe("alexnet").network;
  EXPECT_NO_THROW(check_fit(n, small_data(1, 28, 6, 1)));
  EXPECT_NO_THROW(check_fit(n, small_data(3, 32, 6, 1)));
  EXPECT_THAT(error_of([&] { check_fit(n, small_data(1, 33, 6, 1)); }),
              HasSubstr("AlexNet takes 3 x 32 x 32 images; data set small has 1 x 33 x 33"));
  EXPECT_THAT(error_of([&] { check_fit(n, small_data(2, 28, 6, 1)); }), HasSubstr("has 2 x 28 x 28"));
  DataSet data = small_data(1, 28, 6, 1);
  data.test = small_data(4, 28, 6, 1).test;
  EXPECT_THAT(error_of([&] { check_fit(n, data); }), HasSubstr("has 4 x 28 x 28"));
  data = small_data(1, 28, 6, 1);
  data.train.labels[4] = 10;
  EXPECT_THAT(error_of([&] { check_fit(n, data); }),
              HasSubstr("AlexNet tells 10 classes apart; data set small has label 10 at image 4"));
}

TEST(FitImage, CentresPadsAndRepeatsGrey) {
  const Network n = make_recipe("alexnet").network;
  const Images images = small_data(1, 28, 6, 1).train;
  std::vector<std::uint8_t> out(n.input.size(), 77);
  fit_image(n, images, 3, out);
  for (int c = 0; c < 3; ++c)
    for (int y = 0; y < 32; ++y)
      for (int x = 0; x < 32; ++x) {
        const bool inside = y >= 2 && y < 30 && x >= 2 && x < 30;
        ASSERT_EQ(out[(c * 32 + y) * 32 + x], inside ? images.pixels[(3 * 28 + y - 2) * 28 + x - 2] : 0);
      }
}

TEST(FitImage, CentresInAnInputThatIsNotSquare) {
  Network n = make_recipe("alexnet").network;
  n.input = {1, 30, 40};
  const Images images = small_data(1, 28, 6, 1).train;
  std::vector<std::uint8_t> out(n.input.size(), 77);
  fit_image(n, images, 2, out);
  for (int y = 0; y < 30; ++y)
    for (int x = 0; x < 40; ++x) {
      const bool inside = y >= 1 && y < 29 && x >= 6 && x < 34;
      ASSERT_EQ(out[y * 40 + x], inside ? images.pixels[(2 * 28 + y - 1) * 28 + x - 6] : 0);
    }
}

TEST(FitImage, KeepsColourImagesOfFullSize) {
  const Images images = small_data(3, 32, 6, 1).train;
  std::vector<std::uint8_t> out(images.image_size());
  fit_image(make_recipe("alexnet").network, images, 5, out);
  EXPECT_TRUE(std::equal(out.begin(), out.end(), images.pixels.begin() + 5 * images.image_size()));
}

TEST(QuantizeImages, TakesMoreImagesThanAPieceHas) {
  const QuantizedNetwork n = [] {
    QuantizedNetwork network;
    network.network = make_recipe("lenet5").network;
    network.mean = network.standard_deviation = {0.5, 0.5, 0.5};
    network.input = {0.02, 80};
    return network;
  }();
  const Images images = small_data(3, 32, 40, 1).train;
  std::vector<std::uint32_t> indices(3000);  // 9 MB
  for (std::size_t i = 0; i < indices.size(); ++i) indices[i] = static_cast<std::uint32_t>(i * 7 % 40);
  const std::size_t size = n.network.input.size();
  std::vector<std::uint8_t> codes(indices.size() * size), one(size);
  quantize_images(n, images, indices, codes);
  for (std::size_t i = 0; i < indices.size(); ++i) {
    quantize_images(n, images, std::span(indices).subspan(i, 1), one);
    ASSERT_TRUE(std::equal(one.begin(), one.end(), codes.begin() + i * size)) << i;
  }
}

TEST(QuantizeImages, MapsEveryPixelThroughItsChannel) {
  QuantizedNetwork n;
  n.network = make_recipe("lenet5").network;
  n.mean = {0.1, 0.5, 0.9};
  n.standard_deviation = {0.5, 0.3, 0.7};
  n.input = {0.02, 80};
  const Images images = small_data(1, 28, 6, 1).train;
  const std::vector<std::uint32_t> indices = {4, 0, 4};
  const int size = n.network.input.size(), plane = size / 3;
  std::vector<std::uint8_t> codes(indices.size() * size), pixels(size);
  quantize_images(n, images, indices, codes);
  for (std::size_t i = 0; i < indices.size(); ++i) {
    fit_image(n.network, images, indices[i], pixels);
    for (int k = 0; k < size; ++k) {
      const int c = k / plane;
      const float x = (float(pixels[k]) / 255.0f - float(n.mean[c])) / float(n.standard_deviation[c]);
      ASSERT_EQ(codes[i * size + k], std::clamp(std::nearbyint(x / 0.02f) + 80, 0.0f, 255.0f));
    }
  }
}

}  // namespace
}  // namespace triseg
