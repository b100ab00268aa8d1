#include "trainer/batches.hpp"

#include "tests/trainer/small_shapes.hpp"
#include "network/recipes.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <memory>
#include <numeric>
#include <set>

namespace triseg {
namespace {

/// An image of one channel with pixels 1, 2, 3, ..., repeated.
PixelSet numbered(std::size_t n, int side = 4) {
  PixelSet set;
  set.shape = {1, side, side};
  for (std::size_t i = 0; i < n; ++i) {
    for (int p = 0; p < side * side; ++p) set.pixels.push_back(1 + p % 255);
    set.labels.push_back(static_cast<std::uint16_t>(i));
  }
  return set;
}

std::string moved(int dy, int dx, bool flip, int side = 4) {
  std::string out(side * side, '\0');
  for (int y = 0; y < side; ++y)
    for (int x = 0; x < side; ++x) {
      const int from_y = y - dy, from_x = (flip ? side - 1 - x : x) - dx;
      if (from_y >= 0 && from_y < side && from_x >= 0 && from_x < side)
        out[y * side + x] = char(1 + (from_y * side + from_x) % 255);
    }
  return out;
}

TEST(Batches, EpochOrderIsAPermutationOfItsOwn) {
  const auto first = epoch_order(1, 1, 1000);
  EXPECT_EQ(std::set<std::uint32_t>(first.begin(), first.end()).size(), 1000u);
  EXPECT_EQ(*std::max_element(first.begin(), first.end()), 999u);
  EXPECT_EQ(first, epoch_order(1, 1, 1000));
  EXPECT_NE(first, epoch_order(1, 2, 1000));
  EXPECT_NE(first, epoch_order(2, 1, 1000));
}

TEST(Batches, ARestOfOneImageJoinsTheBatchBeforeItWhereAsked) {
  using Sizes = std::vector<std::size_t>;
  for (const bool joins : {false, true}) {
    EXPECT_EQ(batch_sizes(8, 4, joins), (Sizes{4, 4}));
    EXPECT_EQ(batch_sizes(10, 4, joins), (Sizes{4, 4, 2}));
    EXPECT_EQ(batch_sizes(1, 4, joins), (Sizes{1}));
  }
  EXPECT_EQ(batch_sizes(9, 4, false), (Sizes{4, 4, 1}));
  EXPECT_EQ(batch_sizes(9, 4, true), (Sizes{4, 5}));
}

TEST(Batches, EveryImageIsMovedAndMirroredAndKeepsItsLabel) {
  const PixelSet set = numbered(2000);
  std::vector<std::uint32_t> indices(set.size());
  std::iota(indices.begin(), indices.end(), 0);
  std::vector<std::uint8_t> pixels(set.pixels.size());
  std::vector<std::uint16_t> labels(set.size());
  training_batch(set, indices, {.shift = 1, .flip = true}, 7, 3, pixels, labels);
  EXPECT_EQ(labels, set.labels);
  std::map<std::string, int> expected, found;
  for (int dy : {-1, 0, 1})
    for (int dx : {-1, 0, 1})
      for (bool flip : {false, true}) expected[moved(dy, dx, flip)] = 0;
  ASSERT_EQ(expected.size(), 18u);
  for (std::size_t i = 0; i < set.size(); ++i)
    ++found[std::string(pixels.begin() + i * 16, pixels.begin() + (i + 1) * 16)];
  ASSERT_EQ(found.size(), 18u);
  for (const auto& [image, count] : found) {
    EXPECT_TRUE(expected.count(image));
    EXPECT_GT(count, 2000 / 18 / 2);
  }
}

/// A shift by the side of the image or more leaves nothing of it, and touches nothing beside it.
TEST(Batches, ShiftsUpToTheSideAndBeyond) {
  constexpr int side = 32, size = side * side;
  const PixelSet set = numbered(300, side);
  for (const int shift : {31, 32, 33, 1000}) {
    std::set<std::string> possible = {std::string(size, '\0')};
    for (int dy = 1 - side; dy < side; ++dy)
      for (int dx = 1 - side; dx < side; ++dx)
        for (const bool flip : {false, true}) possible.insert(moved(dy, dx, flip, side));
    for (std::uint32_t i = 0; i < set.size(); ++i) {
      std::vector<std::uint8_t> pixels(3 * size, 0xAA);
      std::vector<std::uint16_t> label(1);
      training_batch(set, std::vector{i}, {.shift = shift, .flip = true}, 7, 3, std::span(pixels).subspan(size, size),
                     label);
      const std::string out(pixels.begin() + size, pixels.begin() + 2 * size), untouched(size, '\xAA');
      EXPECT_EQ(std::string(pixels.begin(), pixels.begin() + size), untouched);
      EXPECT_EQ(std::string(pixels.begin() + 2 * size, pixels.end()), untouched);
      EXPECT_TRUE(possible.count(out)) << "shift " << shift << ", image " << i;
    }
  }
}

TEST(Batches, AugmentationDependsOnTheImageNotOnItsBatch) {
  const PixelSet set = numbered(64);
  const std::vector<std::uint32_t> both = {5, 9}, second = {9};
  std::vector<std::uint8_t> pair(32), single(16);
  std::vector<std::uint16_t> labels(2), label(1);
  training_batch(set, both, {}, 1, 1, pair, labels);
  training_batch(set, second, {}, 1, 1, single, label);
  EXPECT_TRUE(std::equal(single.begin(), single.end(), pair.begin() + 16));
}

TEST(Batches, SwitchedOffAugmentationChangesNothing) {
  const PixelSet set = numbered(3);
  const std::vector<std::uint32_t> indices = {2, 0, 1};
  std::vector<std::uint8_t> pixels(48);
  std::vector<std::uint16_t> labels(3);
  training_batch(set, indices, {.shift = 0, .flip = false}, 1, 1, pixels, labels);
  EXPECT_EQ(pixels, set.pixels);
}

TEST(Batches, LayOutIsFitImageOfTheSplit) {
  const DataSet data = small_shapes(600, 20);
  const Network network = make_recipe("lenet5").network;
  const PixelSet validation = lay_out(network, data, Split::validation);
  ASSERT_EQ(validation.size(), 100u);
  std::vector<std::uint8_t> image(network.input.size());
  fit_image(network, data.train, 503, image);
  EXPECT_TRUE(std::equal(image.begin(), image.end(), validation.pixels.begin() + 3 * network.input.size()));
  EXPECT_EQ(validation.labels[3], data.train.labels[503]);
}

/// Images that are made when they are read, by their indices.
struct MadeImages final : ImageSource {
  std::size_t size;
  explicit MadeImages(std::size_t size) : size(size) {}
  void read(std::span<const std::uint32_t> indices, std::span<std::uint8_t> out) const override {
    for (std::size_t i = 0; i < indices.size(); ++i)
      std::fill_n(out.begin() + i * size, size, static_cast<std::uint8_t>(indices[i] % 251));
  }
};

/// 6,000 training images of 3 x 112 x 96, 1,000 of which are validation: 185 MiB that are nowhere.
DataSet large_data() {
  DataSet data;
  data.name = data.source = "made";
  for (auto [images, count] : {std::pair(&data.train, 6000), {&data.test, 100}}) {
    images->channels = 3;
    images->height = 112;
    images->width = 96;
    images->labels.assign(count, 0);
    for (int i = 0; i < count; ++i) images->labels[i] = static_cast<std::uint16_t>(i % 1000);
    images->source = std::make_shared<MadeImages>(images->image_size());
  }
  data.classes = 1000;
  return data;
}

/// A line of /proc/self/status [bytes].
std::size_t status_bytes(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(key + ":")) return std::stoull(line.substr(key.size() + 1)) * 1024;
  return 0;
}

TEST(Batches, LargeSetsAreReadABatchAtATime) {
  const DataSet data = large_data();
  Network network = make_recipe("resnet8").network;
  network.input = {3, 112, 96};
  std::ofstream("/proc/self/clear_refs") << "5";  // the peak starts anew
  const std::size_t before = status_bytes("VmRSS");
  const PixelSet set = lay_out(network, data, Split::search), validation = lay_out(network, data, Split::validation);
  ASSERT_EQ(set.size(), 5000u);
  EXPECT_NEAR(pixel_statistics(set).mean[2], 124.538 / 255, 1e-6) << "of index % 251";
  const auto order = epoch_order(1, 1, set.size());
  std::vector<std::uint8_t> pixels(100 * set.image_size());
  std::vector<std::uint16_t> labels(100);
  for (std::size_t done = 0; done < set.size(); done += 100) {
    const auto chosen = std::span(order).subspan(done, 100);
    training_batch(set, chosen, {.shift = 0, .flip = true}, 1, 1, pixels, labels);
    for (std::size_t i = 0; i < 100; i += 33) {
      ASSERT_EQ(pixels[i * set.image_size() + 77], chosen[i] % 251);
      ASSERT_EQ(labels[i], chosen[i] % 1000);
    }
  }
  validation.read(3, 2, std::span(pixels).first(2 * set.image_size()));
  EXPECT_EQ(pixels[set.image_size()], 5004 % 251);
  EXPECT_LT(status_bytes("VmHWM") - before, std::size_t{40} << 20) << "the search split takes 154 MiB";
}

TEST(Batches, ManyImagesInMemoryAreNotHeldTwice) {
  const DataSet data = small_shapes(600, 20);
  const Network network = make_recipe("lenet5").network;
  const PixelSet held = lay_out(network, data, Split::validation),
                 read = lay_out(network, data, Split::validation, 1000);
  EXPECT_TRUE(read.pixels.empty());
  std::vector<std::uint8_t> pixels(held.pixels.size());
  read.read(0, read.size(), pixels);
  EXPECT_EQ(pixels, held.pixels);
}

TEST(Batches, PixelStatistics) {
  PixelSet set = numbered(2);
  const PixelStatistics statistics = pixel_statistics(set);
  EXPECT_NEAR(statistics.mean[0], 8.5 / 255, 1e-12);
  EXPECT_NEAR(statistics.standard_deviation[0], std::sqrt(255.0 / 12) / 255,
              1e-12);  // uniform on 1..16: (n^2 - 1) / 12
  std::fill(set.pixels.begin(), set.pixels.end(), std::uint8_t{9});
  EXPECT_EQ(pixel_statistics(set).standard_deviation[0], 1.0);
}

}  // namespace
}  // namespace triseg
