// Every engine of this build against the reference: all layers, odd shapes, many students, batches of any size.

#include "core/error.hpp"
#include "network/recipes.hpp"
#include "tests/worker/random_network.hpp"
#include "worker/engines/engines.hpp"
#include "worker/reference_engine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <tuple>

namespace triseg::testing {
namespace {

constexpr int largest_batch = 33;

/// False for an engine whose device this machine lacks. The fastest engine that runs here comes before the slower ones.
/// With TRISEG_REQUIRE_GPU in the environment nothing is skipped.
bool runs_here(EngineKind kind) {
  return std::getenv("TRISEG_REQUIRE_GPU") || kind >= resolve_engine(EngineKind::automatic);
}

using NamedEngine = std::pair<std::string_view, EngineKind>;

struct Case {
  const char* name;
  Network (*network)();
  Scheme scheme;
  bool has_sites;
  int images;  // that the comparisons with many students run on
  int students;
};
void PrintTo(const Case& c, std::ostream* stream) { *stream << c.name; }

/// Odd sides and channels, stride 2, pooling that drops a rest, attention on a pooled and on a fully connected layer.
Network odd() {
  return chain("odd", 5, 9,
               {convolution("conv1", 7, 3, 1, 1, 2), convolution("conv2", 17, 3, 2, 1, 1), fully_connected("fc1", 13),
                fully_connected("fc2", 3)},
               {0, 2});
}

/// Pooling by 3 with a rest, stride 2 with border padding on the input, no pooling on an attention layer.
Network three() {
  return chain("three", 1, 23,
               {convolution("conv1", 5, 3, 2, 2, 1), convolution("conv2", 7, 3, 1, 2, 3),
                convolution("conv3", 33, 1, 1, 0, 1), fully_connected("fc1", 4)},
               {0, 1, 2});
}

/// No convolution at all.
Network dense() { return chain("dense", 3, 6, {fully_connected("fc1", 21), fully_connected("fc2", 10)}, {0}); }

/// More channels than a tile of a GPU engine has, not a multiple of it; a window of positions that no tile divides.
Network wide() {
  return chain("wide", 3, 8,
               {convolution("conv1", 20, 3, 1, 1, 1), convolution("conv2", 81, 3, 1, 1, 3),
                convolution("conv3", 200, 2, 1, 0, 1), fully_connected("fc1", 10)},
               {1, 2});
}

/// No attention layer, a layer that is not a site, a convolution that makes the logits.
Network bare() {
  return chain("bare", 2, 5, {convolution("conv1", 9, 3, 1, 1, 1), convolution("conv2", 6, 5, 1, 0, 1)}, {});
}

class EngineAgreement : public ::testing::TestWithParam<std::tuple<NamedEngine, Case>> {
 protected:
  static const Case& shape() { return std::get<Case>(GetParam()); }

  void SetUp() override {
    const auto [name, kind] = std::get<NamedEngine>(GetParam());
    if (!runs_here(kind)) GTEST_SKIP() << "engine " << name << " does not run on this machine";
    engine_ = make_engine(kind, problem_);
  }

  static Problem problem() {
    Problem problem = random_problem(shape().network(), shape().scheme, 11);
    if (!shape().has_sites) problem.sites.clear();
    return problem;
  }

  Problem problem_ = problem();
  const QuantizedNetwork& model_ = problem_.model;
  std::unique_ptr<Engine> reference_ = make_reference_engine(problem_);
  std::unique_ptr<Engine> engine_;
  std::vector<std::uint8_t> images_ = random_codes(std::size_t(largest_batch) * model_.network.input_size(), 12);

  void load(int images) {
    const std::span codes = std::span(images_).first(std::size_t(images) * model_.network.input_size());
    reference_->load_images(codes, images);
    engine_->load_images(codes, images);
  }

  static std::vector<OwnedForwardResult> forward(Engine& engine, std::span<const Student> students) {
    std::vector<ForwardResult> results(students.size());
    engine.forward(students, results);
    return {results.begin(), results.end()};
  }

  struct Traced {
    int images = 0;
    std::vector<std::int32_t> accumulators;
    std::vector<std::uint8_t> codes;
  };
  std::vector<Traced> trace(Engine& engine, const Student& student) {
    std::vector<Traced> layers(model_.layers.size());
    engine.trace(student, [&](const LayerTrace& t) {
      EXPECT_EQ(t.positions, model_.network.layers[t.layer].positions());
      EXPECT_EQ(t.channels, model_.network.layers[t.layer].out_channels);
      EXPECT_EQ(t.codes.size(), std::size_t(t.images) * t.positions * t.channels);
      Traced& layer = layers[t.layer];
      layer.images += t.images;
      layer.accumulators.insert(layer.accumulators.end(), t.accumulators.begin(), t.accumulators.end());
      layer.codes.insert(layer.codes.end(), t.codes.begin(), t.codes.end());
    });
    return layers;
  }

  std::vector<Student> students(int count) {
    std::vector<Student> list{teacher(problem_)};
    for (int i = 1; i < count; ++i) {
      list.push_back(random_student(problem_, 100 + i));
      if (i % 3 == 1) replace_requantization(list.back(), model_, i % 2, 200 + i);
    }
    return list;
  }
};

void expect_equal(const OwnedForwardResult& expected, const OwnedForwardResult& actual, const std::string& what) {
  EXPECT_TRUE(expected.logit_codes == actual.logit_codes) << what << ": logits";
  ASSERT_EQ(expected.attention.size(), actual.attention.size());
  for (std::size_t a = 0; a < expected.attention.size(); ++a)
    EXPECT_TRUE(expected.attention[a] == actual.attention[a]) << what << ": attention map " << a;
}

TEST_P(EngineAgreement, TracesTheReferencesAccumulatorsAndCodes) {
  load(shape().images);
  for (const Student& student : students(3)) {
    const auto expected = trace(*reference_, student), actual = trace(*engine_, student);
    for (std::size_t l = 0; l < expected.size(); ++l) {
      const std::string& layer = model_.network.layers[l].name;
      EXPECT_EQ(actual[l].images, shape().images) << layer;
      EXPECT_TRUE(expected[l].accumulators == actual[l].accumulators) << layer << ": accumulators";
      EXPECT_TRUE(expected[l].codes == actual[l].codes) << layer << ": codes";
      const auto [low, high] = std::minmax_element(expected[l].codes.begin(), expected[l].codes.end());
      EXPECT_GT(*high - *low, 60) << layer << ": the test's codes do not spread";
    }
  }
}

TEST_P(EngineAgreement, ForwardsManyStudentsAsTheReference) {
  load(shape().images);
  const auto list = students(shape().students);
  const auto expected = forward(*reference_, list), actual = forward(*engine_, list);
  for (std::size_t s = 0; s < list.size(); ++s) expect_equal(expected[s], actual[s], fmt::format("student {}", s));
  EXPECT_FALSE(expected[0].logit_codes == expected[1].logit_codes) << "the test's students do not differ";
}

TEST_P(EngineAgreement, ForwardsStudentsThatShareABeginning) {
  const auto two = students(2);
  const Student &exact = two[0], repaired = two[1], plain = {repaired.tables, {}};
  std::vector<Student> list{plain, exact, repaired, plain};
  for (std::size_t site = 0; site < exact.tables.size(); ++site) {
    const Student& one = site % 2 ? plain : repaired;
    list.push_back(exact);
    list.back().tables[site] = one.tables[site];
    list.push_back(one);
    list.back().tables[site] = exact.tables[site];
  }
  list.push_back(repaired);
  if (list.back().requantization.back()) list.back().requantization.back()->bias[0] += 1000;
  load(model_.network.macs() > 1e7 ? 1 : largest_batch);
  const auto expected = forward(*reference_, list), actual = forward(*engine_, list);
  for (std::size_t s = 0; s < list.size(); ++s) expect_equal(expected[s], actual[s], fmt::format("student {}", s));
}

TEST_P(EngineAgreement, ForwardsBatchesOfAnySize) {
  const auto list = students(2);
  load(largest_batch);
  const auto all = forward(*reference_, list);
  for (int images : {1, 33, 1, 2, 3, 7, 32, 33}) {
    load(images);
    const auto actual = forward(*engine_, list);
    for (std::size_t s = 0; s < list.size(); ++s) {
      OwnedForwardResult expected = all[s];  // images do not depend on each other: the first ones are the small batch
      expected.logit_codes.resize(expected.logit_codes.size() / largest_batch * images);
      for (auto& map : expected.attention) map.resize(map.size() / largest_batch * images);
      expect_equal(expected, actual[s], fmt::format("{} images, student {}", images, s));
    }
  }
}

TEST_P(EngineAgreement, AddsTheReferencesMoments) {
  const auto list = students(5);  // the teacher, and students with and without a repair
  std::vector<std::vector<Moments>> all;
  for (int images : {shape().images, 1, largest_batch}) {
    if (images == largest_batch && model_.network.macs() > 1e8) continue;  // the reference would take its time
    load(images);
    for (const Student& student : std::span(list).first(images == largest_batch ? 2 : list.size())) {
      std::vector<Moments> expected(model_.network.channels()), actual(expected);
      reference_->add_moments(student, expected);
      engine_->add_moments(student, actual);
      EXPECT_TRUE(expected == actual) << images << " images";
      engine_->add_moments(student, actual);
      for (Moments& m : expected) m += Moments(m);
      EXPECT_TRUE(expected == actual) << "a second call adds";
      all.push_back(actual);
    }
  }
  const std::size_t second = model_.network.layers[0].out_channels;
  EXPECT_TRUE(std::equal(all[0].begin(), all[0].begin() + second, all[1].begin()))
      << "no staircase before the first layer";
  if (shape().has_sites) {
    EXPECT_FALSE(std::equal(all[0].begin() + second, all[0].end(), all[1].begin() + second))
        << "the test's students do not differ";
  }
}

TEST_P(EngineAgreement, MomentsAreThoseOfTheTracedAccumulators) {
  load(shape().images);
  for (const Student& student : students(3)) {
    std::vector<Moments> expected, actual(model_.network.channels());
    const auto traced = trace(*reference_, student);
    for (std::size_t l = 0; l < traced.size(); ++l) {
      const std::size_t channels = model_.network.layers[l].out_channels;
      const Requantization& own = model_.layers[l].requantization;
      const auto& bias = student.requantization.empty() ? own.bias : student.requantization[l].value_or(own).bias;
      for (std::size_t c = 0; c < channels; ++c) {
        Moments m;
        for (std::size_t i = c; i < traced[l].accumulators.size(); i += channels)
          m.add(traced[l].accumulators[i] - bias[c]);
        expected.push_back(m);
      }
    }
    engine_->add_moments(student, actual);
    EXPECT_TRUE(expected == actual);
  }
}

/// All but the reference, which they are compared with.
std::vector<NamedEngine> engines_to_test() {
  std::vector<NamedEngine> engines(engine_names().begin(), engine_names().end());
  std::erase_if(engines, [](const auto& each) {
    return each.second == EngineKind::automatic || each.second == EngineKind::reference;
  });
  return engines;
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(EngineAgreement);
INSTANTIATE_TEST_SUITE_P(
    Networks, EngineAgreement,
    ::testing::Combine(
        ::testing::ValuesIn(engines_to_test()),
        ::testing::Values(
            Case{"alexnet_fbgemm", [] { return make_recipe("alexnet").network; }, Scheme::fbgemm, true, 2, 8},
            Case{"alexnet_qnnpack", [] { return make_recipe("alexnet").network; }, Scheme::qnnpack, true, 1, 5},
            Case{"lenet5_fbgemm", [] { return make_recipe("lenet5").network; }, Scheme::fbgemm, true, 9, 30},
            Case{"lenet5_qnnpack", [] { return make_recipe("lenet5").network; }, Scheme::qnnpack, true, 9, 30},
            Case{"odd", odd, Scheme::qnnpack, true, 11, 40}, Case{"three", three, Scheme::fbgemm, true, 11, 40},
            Case{"dense", dense, Scheme::qnnpack, true, 11, 40}, Case{"bare", bare, Scheme::qnnpack, false, 11, 2},
            Case{"wide", wide, Scheme::qnnpack, true, 11, 20})),
    [](const auto& info) { return fmt::format("{}_{}", std::get<0>(info.param).first, std::get<1>(info.param).name); });

class EveryEngine : public ::testing::TestWithParam<NamedEngine> {
 protected:
  void SetUp() override {
    if (!runs_here(GetParam().second)) GTEST_SKIP() << "engine " << GetParam().first << " does not run on this machine";
  }
};

TEST_P(EveryEngine, IsExactForTheLargestSums) {
  // 1728 weights of 127 or -128 and codes of 255: sums of 56 million, beyond 2^24, where float32 would round.
  auto model =
      random_network(chain("large", 192, 4, {convolution("conv1", 8, 3, 1, 1, 1), fully_connected("fc1", 4)}, {0}),
                     Scheme::qnnpack, 5);
  auto& layer = model.layers[0];
  const std::size_t fan_in = layer.weights.size() / 8;
  for (std::size_t i = 0; i < layer.weights.size(); ++i) layer.weights[i] = i / fan_in % 2 ? 127 : -128;
  for (auto& b : layer.requantization.bias) b = 1 - (1 << 25);
  ASSERT_GT(accumulator_bound(layer), 1 << 24);
  const Problem problem = make_problem(model);
  const auto reference = make_reference_engine(problem), engine = make_engine(GetParam().second, problem);
  const std::vector<std::uint8_t> codes(model.network.input_size(), 255);
  std::vector<std::int32_t> expected, actual;
  for (auto [each, sums] : {std::pair(reference.get(), &expected), std::pair(engine.get(), &actual)}) {
    each->load_images(codes, 1);
    each->trace(teacher(problem), [&, out = sums](const LayerTrace& t) {
      out->insert(out->end(), t.accumulators.begin(), t.accumulators.end());
    });
  }
  EXPECT_GT(*std::max_element(expected.begin(), expected.end()), 1 << 23);
  EXPECT_TRUE(expected == actual);
}

TEST_P(EveryEngine, NamesTheLayerItCannotPad) {
  auto model =
      random_network(chain("n", 3, 6, {convolution("conv1", 8, 3, 1, 1, 1), convolution("conv2", 4, 6, 1, 1, 3)}, {}),
                     Scheme::qnnpack, 5);
  model.network.layers[0].relu = false;
  model.layers[0].output.zero_point = model.layers[1].input.zero_point = 9;
  const Problem problem{model, {0}, {}};
  EXPECT_THAT([&] { make_engine(GetParam().second, problem); },
              ::testing::ThrowsMessage<Error>(::testing::HasSubstr("layer conv2")));
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(EveryEngine);
INSTANTIATE_TEST_SUITE_P(Engines, EveryEngine, ::testing::ValuesIn(engines_to_test()),
                         [](const auto& info) { return std::string(info.param.first); });

}  // namespace
}  // namespace triseg::testing
