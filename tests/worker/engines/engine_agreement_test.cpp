// Every engine of this build against the reference: every operation, odd shapes, random graphs, many students, batches
// of any size.

#include "core/error.hpp"
#include "network/recipes.hpp"
#include "tests/worker/random_graph.hpp"
#include "worker/engines/engines.hpp"
#include "worker/reference_engine.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
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
  std::string name;
  std::function<Network()> network;
  Scheme scheme;
  bool has_sites;
  int images;  // that the comparisons with many students run on
  int students;
  bool varied = false;                            // zero points and top codes differ between nodes
  int spread = 60;                                // that the codes of convolutions have at least
  EngineKind refused_by = EngineKind::automatic;  // no engine
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

/// Logits of several positions: 3 channels of 4 x 3.
Case positions() {
  const auto network = [] {
    ChainLayer first = convolution("conv1", 9, 3, 1, 1, 1), last = convolution("conv2", 3, 3, 1, 0, 1);
    first.in_channels = 2;
    last.in_channels = 9;
    last.relu = false;
    Network n;
    n.name = n.display_name = "positions";
    n.input = {2, 6, 5};
    n.classes = 3 * 4 * 3;
    n.default_attention = {"conv1"};
    append_layer(n, first);
    append_layer(n, last);
    connect(n);
    return n;
  };
  return {"positions", network, Scheme::qnnpack, true, 9, 20, true, 5, EngineKind::cuda};
}

/// One operation between a convolution and the logits. `add` gets the builder and the convolution's value, of 7
/// channels, 9 rows and 6 columns.
Case one(std::string name, std::function<void(GraphBuilder&, int)> add) {
  const auto network = [name, add] {
    GraphBuilder g(name, {3, 9, 6});
    add(g, g.convolution(image_value, 7, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}));
    return g.finish(5);
  };
  return {name, network, Scheme::qnnpack, true, 9, 20, true, 5};
}

std::vector<Case> operations() {
  const auto operation = [](Operation each) {
    return [each](GraphBuilder& g, int x) {
      g.operation(each, {x, g.convolution(x, 7, {1, 3, 1, 1, 1, 1, 0, 1, 0, 1})});
    };
  };
  const auto broadcast = [](Operation each, Shape shape) {
    return [each, shape](GraphBuilder& g, int x) { g.operation(each, {g.constant(shape), x}, false); };
  };
  return {
      one("rectangular",
          [](auto& g, int x) {
            g.convolution(x, 9, {4, 1, 2, 1});
          }),
      one("asymmetric",
          [](auto& g, int x) {
            g.convolution(x, 9, {3, 3, 2, 2, 1, 1, 0, 1, 2, 0});
          }),
      one("dilated",
          [](auto& g, int x) {
            g.convolution(x, 9, {3, 2, 1, 2, 2, 3, 2, 1, 1, 2});
          }),
      one("padded_with_a_zero_point",
          [](auto& g, int x) {
            g.convolution(g.convolution(x, 6, {1, 1}, false), 9, {3, 3, 1, 1, 1, 1, 1, 2, 1, 0}, false);
          }),
      one("grouped",
          [](auto& g, int x) {
            g.convolution(g.convolution(x, 15, {}), 9, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, true, 3);
          }),
      one("grouped_by_8",
          [](auto& g, int x) {
            g.convolution(g.convolution(x, 32, {}), 16, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, true, 2);
          }),
      one("depthwise",
          [](auto& g, int x) {
            g.convolution(x, 7, {3, 3, 2, 1, 1, 1, 1, 1, 1, 1}, true, 7);
          }),
      one("depthwise_wide",
          [](auto& g, int x) {
            g.convolution(g.convolution(x, 75, {}, false), 75, {3, 2, 1, 1, 2, 1, 1, 0, 2, 1}, true, 75);
          }),
      one("depthwise_twice",
          [](auto& g, int x) {
            g.convolution(x, 14, {3, 3}, true, 7);
          }),
      one("depthwise_image",
          [](auto& g, int) {
            g.convolution(image_value, 3, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, true, 3);
          }),
      one("average",
          [](auto& g, int x) {
            g.average(x, {2, 3, 2, 2}, false, true);
          }),
      one("average_padded",
          [](auto& g, int x) {
            g.average(x, {3, 3, 2, 1, 1, 1, 1, 0, 1, 1});
          }),
      one("average_counting",
          [](auto& g, int x) {
            g.average(x, {3, 2, 2, 2, 1, 1, 1, 1, 0, 1, true}, true);
          }),
      one("average_signed",
          [](auto& g, int x) {
            g.average(g.convolution(x, 9, {}, false), {3, 3, 2, 2, 1, 1, 1, 1, 1, 1}, false);
          }),
      one("maximum_overlapping",
          [](auto& g, int x) {
            g.maximum(x, {3, 3, 2, 2, 1, 1, 1, 1, 1, 1});
          }),
      one("maximum_ceil",
          [](auto& g, int x) {
            g.maximum(x, {2, 2, 2, 2, 1, 1, 0, 0, 0, 0, true});
          }),
      one("maximum_rectangular",
          [](auto& g, int x) {
            g.maximum(x, {4, 2, 4, 2});
          }),
      one("maximum_dilated",
          [](auto& g, int x) {
            g.maximum(x, {2, 3, 1, 1, 3, 2});
          }),
      one("maximum_of_the_image",
          [](auto& g, int) {
            g.maximum(image_value, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1});
          }),
      one("maximum_and_skip",
          [](auto& g, int x) {
            g.maximum(x, {2, 2, 2, 2});
            g.convolution(x, 4, {});
          }),
      one("add", operation(Operation::add)),
      one("add_to_itself",
          [](auto& g, int x) {
            g.operation(Operation::add, {x, x});
          }),
      one("add_signed",
          [](auto& g, int x) {
            g.operation(Operation::add, {g.convolution(x, 9, {}, false), g.convolution(x, 9, {}, false)});
          }),
      one("add_channel", broadcast(Operation::add, {7, 1, 1})),
      one("add_plane", broadcast(Operation::add, {1, 9, 6})),
      one("add_row", broadcast(Operation::add, {7, 1, 6})),
      one("add_scalar", broadcast(Operation::add, {1, 1, 1})),
      one("add_both_broadcast",
          [](auto& g, int) {
            g.operation(Operation::add, {g.constant({1, 5, 1}), g.constant({9, 1, 4})});
          }),
      one("add_the_image",
          [](auto& g, int) {
            g.operation(Operation::add, {g.constant({3, 9, 1}), image_value});
          }),
      one("multiply", operation(Operation::multiply)),
      one("multiply_channel", broadcast(Operation::multiply, {7, 1, 1})),
      one("squeeze_and_excitation",
          [](auto& g, int x) {
            const int gate = g.convolution(g.convolution(g.average(x, {9, 6}), 3, {}), 7, {}, false);
            g.operation(Operation::multiply, {x, g.operation(Operation::table, {gate})});
          }),
      one("concatenate",
          [](auto& g, int x) {
            g.operation(Operation::concatenate, {g.convolution(x, 3, {}), x, g.convolution(x, 9, {})});
          }),
      one("concatenate_alike",
          [](auto& g, int x) {
            g.operation(Operation::concatenate, {x, g.maximum(x, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1})});
          }),
      one("table", [](auto& g, int x) { g.operation(Operation::table, {x}); }),
  };
}

std::vector<Case> random_graphs() {
  std::vector<Case> cases;
  for (int seed = 1; seed <= 24; ++seed)
    cases.push_back({fmt::format("graph{}", seed), [seed] { return random_graph(seed); },
                     seed % 2 ? Scheme::fbgemm : Scheme::qnnpack, true, 5, 16, seed % 3 != 0, 5});
  return cases;
}

class EngineAgreement : public ::testing::TestWithParam<std::tuple<NamedEngine, Case>> {
 protected:
  static const Case& shape() { return std::get<Case>(GetParam()); }

  void SetUp() override {
    const auto [name, kind] = std::get<NamedEngine>(GetParam());
    if (!runs_here(kind)) GTEST_SKIP() << "engine " << name << " does not run on this machine";
    if (kind == shape().refused_by) GTEST_SKIP() << "engine " << name << " refuses it";
    engine_ = make_engine(kind, problem_);
  }

  static Problem problem() {
    Problem problem = random_problem(shape().network(), shape().scheme, 11, {.varied = shape().varied});
    if (!shape().has_sites) problem.sites.clear();
    return problem;
  }

  Problem problem_ = problem();
  const QuantizedNetwork& model_ = problem_.model;
  std::unique_ptr<Engine> reference_ = make_reference_engine(problem_);
  std::unique_ptr<Engine> engine_;
  std::vector<std::uint8_t> images_ = random_codes(std::size_t(largest_batch) * model_.network.input.size(), 12);

  void load(int images) {
    const std::span codes = std::span(images_).first(std::size_t(images) * model_.network.input.size());
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
    std::vector<Traced> nodes(model_.nodes.size());
    engine.trace(student, [&](const NodeTrace& t) {
      EXPECT_EQ(t.positions, model_.network.nodes[t.node].shape.positions());
      EXPECT_EQ(t.channels, model_.network.nodes[t.node].shape.channels);
      EXPECT_EQ(t.codes.size(), std::size_t(t.images) * t.positions * t.channels);
      Traced& node = nodes[t.node];
      node.images += t.images;
      node.accumulators.insert(node.accumulators.end(), t.accumulators.begin(), t.accumulators.end());
      node.codes.insert(node.codes.end(), t.codes.begin(), t.codes.end());
    });
    return nodes;
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
      const std::string& layer = model_.network.nodes[l].name;
      EXPECT_EQ(actual[l].images, shape().images) << layer;
      EXPECT_TRUE(expected[l].accumulators == actual[l].accumulators) << layer << ": accumulators";
      EXPECT_TRUE(expected[l].codes == actual[l].codes) << layer << ": codes";
      const auto [low, high] = std::minmax_element(expected[l].codes.begin(), expected[l].codes.end());
      const Node& node = model_.network.nodes[l];
      if (node.shape.size() > 20 && node.operation == Operation::convolution) {
        EXPECT_GT(*high - *low, shape().spread) << layer << ": the test's codes do not spread";
      }
    }
  }
}

TEST_P(EngineAgreement, ForwardsManyStudentsAsTheReference) {
  load(shape().images);
  const auto list = students(shape().students);
  const auto expected = forward(*reference_, list), actual = forward(*engine_, list);
  for (std::size_t s = 0; s < list.size(); ++s) expect_equal(expected[s], actual[s], fmt::format("student {}", s));
  EXPECT_FALSE(std::all_of(expected.begin(), expected.end(), [&](const auto& each) {
    return each.logit_codes == expected[0].logit_codes;
  })) << "the test's students do not differ";
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
    if (images == largest_batch && model_.network.macs() > 3e7) continue;  // the reference would take its time
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
  const Node& first = *std::find_if(model_.network.nodes.begin(), model_.network.nodes.end(),
                                    [](const Node& node) { return node.operation == Operation::convolution; });
  const std::size_t second = first.shape.channels;
  if (first.inputs[0] == image_value) {
    EXPECT_TRUE(std::equal(all[0].begin(), all[0].begin() + second, all[1].begin()))
        << "no staircase before the first convolution";
  }
  if (shape().has_sites) {
    EXPECT_FALSE(std::all_of(all.begin(), all.begin() + list.size(), [&](const auto& each) {
      return std::equal(all[0].begin() + second, all[0].end(), each.begin() + second);
    })) << "the test's students do not differ";
  }
}

TEST_P(EngineAgreement, MomentsAreThoseOfTheTracedAccumulators) {
  load(shape().images);
  for (const Student& student : students(3)) {
    std::vector<Moments> expected, actual(model_.network.channels());
    const auto traced = trace(*reference_, student);
    for (std::size_t l = 0; l < traced.size(); ++l) {
      if (model_.network.nodes[l].operation != Operation::convolution) {
        EXPECT_TRUE(traced[l].accumulators.empty());
        continue;
      }
      const std::size_t channels = model_.network.nodes[l].shape.channels;
      const auto& bias = student.requantization_of(model_, l).bias;
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

std::string case_name(const ::testing::TestParamInfo<std::tuple<NamedEngine, Case>>& info) {
  return fmt::format("{}_{}", std::get<0>(info.param).first, std::get<1>(info.param).name);
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(EngineAgreement);
INSTANTIATE_TEST_SUITE_P(Operations, EngineAgreement,
                         ::testing::Combine(::testing::ValuesIn(engines_to_test()), ::testing::ValuesIn(operations())),
                         case_name);
INSTANTIATE_TEST_SUITE_P(Graphs, EngineAgreement,
                         ::testing::Combine(::testing::ValuesIn(engines_to_test()),
                                            ::testing::ValuesIn(random_graphs())),
                         case_name);
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
            Case{"wide", wide, Scheme::qnnpack, true, 11, 20}, positions())),
    case_name);

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
  auto& layer = model.nodes[0];
  const std::size_t fan_in = layer.weights.size() / 8;
  for (std::size_t i = 0; i < layer.weights.size(); ++i) layer.weights[i] = i / fan_in % 2 ? 127 : -128;
  for (auto& b : layer.requantization.bias) b = 1 - (1 << 25);
  ASSERT_GT(accumulator_bound(model, 0), 1 << 24);
  const Problem problem = make_problem(model);
  const auto reference = make_reference_engine(problem), engine = make_engine(GetParam().second, problem);
  const std::vector<std::uint8_t> codes(model.network.input.size(), 255);
  std::vector<std::int32_t> expected, actual;
  for (auto [each, sums] : {std::pair(reference.get(), &expected), std::pair(engine.get(), &actual)}) {
    each->load_images(codes, 1);
    each->trace(teacher(problem), [&, out = sums](const NodeTrace& t) {
      out->insert(out->end(), t.accumulators.begin(), t.accumulators.end());
    });
  }
  EXPECT_GT(*std::max_element(expected.begin(), expected.end()), 1 << 23);
  EXPECT_TRUE(expected == actual);
}

TEST_P(EveryEngine, RunsEveryOperation) {
  for (const Case& c : operations()) {
    const EngineChoice choice = choose_engine(GetParam().second, random_problem(c.network(), c.scheme, 11, {}));
    EXPECT_EQ(choice.kind, GetParam().second) << c.name;
    EXPECT_THAT(choice.passed_over, ::testing::IsEmpty()) << c.name;
  }
}

/// Automatic passes over an engine that cannot run a network, and says so; the engine itself is refused by name.
TEST_P(EveryEngine, IsChosenWhereItRunsTheWholeNetwork) {
  const auto [name, kind] = GetParam();
  const Problem problem = random_problem(positions().network(), Scheme::qnnpack, 11, {.varied = true});
  if (kind != positions().refused_by) {
    EXPECT_EQ(choose_engine(kind, problem).kind, kind);
    return;
  }
  const auto make_refused = [&problem, refused = kind] { make_engine(refused, problem); };
  EXPECT_THAT(make_refused,
              ::testing::ThrowsMessage<Error>(::testing::HasSubstr(fmt::format("engine {}: node conv2: ", name))));
  const EngineChoice choice = choose_engine(EngineKind::automatic, problem);
  EXPECT_NE(choice.kind, kind);
  EXPECT_THAT(
      choice.passed_over,
      ::testing::ElementsAre(::testing::HasSubstr(fmt::format("engine {} is passed over: node conv2: ", name))));
  EXPECT_NO_THROW(make_engine(choice.kind, problem));
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(EveryEngine);
INSTANTIATE_TEST_SUITE_P(Engines, EveryEngine, ::testing::ValuesIn(engines_to_test()),
                         [](const auto& info) { return std::string(info.param.first); });

}  // namespace
}  // namespace triseg::testing
