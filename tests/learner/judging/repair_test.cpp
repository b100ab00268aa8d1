// Moment matching by numbers worked out by hand, and repairs in a checkpoint.
#include "learner/judging/repair.hpp"

#include "core/error.hpp"
#include "tests/learner/files/examples.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <tuple>

namespace triseg {
namespace {

/// Two convolutions of one and of two channels; the first is a site.
Problem small_problem() {
  QuantizedNetwork model;
  model.network.name = model.network.display_name = "small";
  for (int channels : {1, 2}) {
    Node node;
    node.name = channels == 1 ? "a" : "b";
    node.inputs = {channels - 2};
    node.shape.channels = channels;
    model.network.nodes.push_back(node);
  }
  model.nodes.resize(2);
  model.nodes[0].requantization = {{0.5f}, {3}};
  model.nodes[1].requantization = {{0.5f, 0.25f}, {100, -40}};
  return {model, {0}, {}};
}

Moments moments(std::initializer_list<std::int32_t> sums) {
  Moments m;
  for (std::int32_t x : sums) m.add(x);
  return m;
}

TEST(Moments, AreExactBeyond64Bits) {
  Moments m;
  for (int i = 0; i < 8; ++i) m.add(INT32_MIN);  // squares of 2^62: eight of them make 2^65
  EXPECT_EQ(m.count, 8u);
  EXPECT_EQ(m.sum, -(std::int64_t{1} << 34));
  EXPECT_EQ(m.squares_low, 0u);
  EXPECT_EQ(m.squares_high, std::uint64_t{1} << 33);
  EXPECT_EQ(moments({-3, 5, 7}).squares_low, 83u);
  Moments sum = moments({-3});
  sum += moments({5, 7});
  EXPECT_EQ(sum, moments({-3, 5, 7}));
}

TEST(FitRepair, ModeLayerHasOneFactor) {
  const QuantizedNetwork model = small_problem().model;
  Repair repair(2);
  repair[1] = Requantization{{0.75f, 0.375f}, {0, 0}};
  EXPECT_NO_THROW(check_one_factor(model, repair));
  repair[1]->multiplier[1] = 0.3751f;
  EXPECT_THROW(check_one_factor(model, repair), Error);
}

TEST(FitRepair, GivesEveryChannelTheTeachersMeanAndDeviation) {
  const Problem problem = small_problem();
  // Channel 0: teacher 10 +- 4, student 20 +- 2. Channel 1: teacher -8 +- 3, student -8 +- 6.
  const std::vector<Moments> teacher = {moments({1, 9}), moments({6, 14}), moments({-11, -5})};
  const std::vector<Moments> student = {moments({1, 9}), moments({18, 22}), moments({-14, -2})};
  const Repair repair = fit_repair(problem, RepairMode::channel, teacher, student);
  ASSERT_EQ(repair.size(), 2u);
  EXPECT_FALSE(repair[0]) << "no staircase comes before the first node";
  EXPECT_EQ(repair[1]->multiplier, (std::vector<float>{1.0f, 0.125f}));
  // Channel 0: mu_t = 110, mu_s = 120, bias' = 100 - 120 + 110 / 2 = 35. Channel 1: both -48, -40 + 48 - 96 = -88.
  EXPECT_EQ(repair[1]->bias, (std::vector<std::int32_t>{35, -88}));
  // The student's 18 and 22 become what the teacher's 106 and 114 are: 53 and 57.
  EXPECT_EQ((18 + 35) * 1.0f, 106 * 0.5f);
  EXPECT_EQ((22 + 35) * 1.0f, 114 * 0.5f);
}

TEST(FitRepair, LayersShareOneRatioAndOneShift) {
  Problem problem = small_problem();
  problem.model.nodes[1].requantization = {{0.5f, 0.25f}, {0, 0}};
  // Outputs in codes. Teacher: 5 +- 2 and -1 +- 2, pooled mean 2, variance 4 + 9. Student: 5 +- 1 and 3 +- 1.5, pooled
  // mean 4, variance (1 + 2.25) / 2 + 1.
  const std::vector<Moments> teacher = {moments({0}), moments({6, 14}), moments({-12, 4})};
  const std::vector<Moments> student = {moments({0}), moments({8, 12}), moments({6, 18})};
  const Repair repair = fit_repair(problem, RepairMode::layer, teacher, student);
  const double ratio = std::sqrt(13.0) / std::sqrt(2.625);
  EXPECT_FLOAT_EQ(repair[1]->multiplier[0], 0.5 * ratio);
  EXPECT_FLOAT_EQ(repair[1]->multiplier[1], 0.25 * ratio);
  const double shift = 2 / ratio - 4;
  EXPECT_EQ(repair[1]->bias,
            (std::vector<std::int32_t>{int(std::nearbyint(shift / 0.5)), int(std::nearbyint(shift / 0.25))}));
  EXPECT_EQ(repair[1]->bias, (std::vector<std::int32_t>{-6, -12}));
}

TEST(FitRepair, AStudentLikeItsTeacherKeepsTheModelsRequantization) {
  const Problem problem = small_problem();
  const std::vector<Moments> same = {moments({1, 9}), moments({6, 14, 1}), moments({-11, -5, 3})};
  for (RepairMode mode : {RepairMode::layer, RepairMode::channel})
    EXPECT_EQ(fit_repair(problem, mode, same, same)[1], problem.model.nodes[1].requantization);
}

TEST(FitRepair, WithoutSpreadTheMeanAloneMoves) {
  const Problem problem = small_problem();
  const std::vector<Moments> spread = {moments({0}), moments({6, 14}), moments({-11, -5})};
  const std::vector<Moments> constant = {moments({0}), moments({7, 7}), moments({-11, -11})};
  for (const auto& [teacher, student, shift] : {std::tuple(spread, constant, 3), std::tuple(constant, spread, -3)}) {
    const Repair repair = fit_repair(problem, RepairMode::channel, teacher, student);
    EXPECT_EQ(repair[1]->multiplier, problem.model.nodes[1].requantization.multiplier);
    EXPECT_EQ(repair[1]->bias, (std::vector<std::int32_t>{100 + shift, -40 + shift}));
  }
}

TEST(FitRepair, KeepsBiasesWhereSumsStayIn32Bits) {
  Problem problem = small_problem();
  problem.model.nodes[1].requantization.bias = {100'000'000, -100'000'000};
  const std::vector<Moments> teacher = {moments({0}), moments({0, 1}), moments({0, 1})};
  const std::vector<Moments> student = {moments({0}), moments({0, 100}), moments({0, 100})};
  EXPECT_EQ(fit_repair(problem, RepairMode::channel, teacher, student)[1]->bias,
            (std::vector<std::int32_t>{1 << 30, -(1 << 30)}));
}

TEST(FitRepair, LeavesRoomForTheWeightsSums) {
  Problem problem = small_problem();
  problem.model.nodes[1].requantization.bias = {1'000'000'000, 0};
  problem.model.nodes[1].weights.assign(2 * 50'000, 127);  // 255 * 127 * 50,000 = 1,619,250,000 by themselves
  const std::vector<Moments> teacher = {moments({0}), moments({0, 1}), moments({0, 1})};
  const std::vector<Moments> student = {moments({0}), moments({0, 100}), moments({0, 100})};
  EXPECT_EQ(fit_repair(problem, RepairMode::channel, teacher, student)[1]->bias[0], 2'147'483'647 - 1'619'250'000);
}

TEST(RepairMode, NamesGoThereAndBack) {
  for (RepairMode mode : {RepairMode::none, RepairMode::layer, RepairMode::channel})
    EXPECT_EQ(parse_repair_mode(name_of(repair_modes, mode)), mode);
  EXPECT_EQ(error_of([] { parse_repair_mode("glue"); }), "unknown repair 'glue': expected none, layer or channel");
}

TEST(StoredRepair, IsExactInACheckpoint) {
  const Problem problem = small_problem();
  Checkpoint checkpoint;
  EXPECT_FALSE(stored_repair(checkpoint, problem));
  for (const Repair& repair : {Repair{{}, Requantization{{0.1f, 1e-20f}, {INT32_MIN, -1}}},
                               Repair{{}, Requantization{{3.0f, 1.0f}, {INT32_MAX, 65535}}}}) {
    store_repair(checkpoint, problem, repair);
    EXPECT_EQ(stored_repair(checkpoint, problem), repair);
  }
  checkpoint.tensors.at("repair/multiplier").shape = {3};
  EXPECT_THAT(error_of([&] { stored_repair(checkpoint, problem); }),
              testing::HasSubstr("'repair/multiplier' has another shape"));
}

TEST(LayerRepairs, GoByName) {
  const Network network = small_problem().network();
  const Repair repair = {{}, Requantization{{0.1f, 0.2f}, {5, 6}}};
  const auto layers = layer_repairs(network, repair);
  ASSERT_EQ(layers.size(), 1u);
  EXPECT_EQ(layers[0].layer, "b");
  EXPECT_EQ(repair_of(network, layers), repair);
}

/// The image is read by a and c; b stands behind the site a, d takes b and c, e takes b alone.
TEST(RepairedNodes, AreThoseThatASiteReaches) {
  Network n;
  const auto add = [&](Operation operation, std::vector<int> inputs) {
    Node& node = n.nodes.emplace_back();
    node.operation = operation;
    node.inputs = std::move(inputs);
  };
  add(Operation::convolution, {image_value});  // 0: a
  add(Operation::convolution, {image_value});  // 1: c
  add(Operation::maximum, {0});                // 2
  add(Operation::convolution, {2});            // 3: b
  add(Operation::add, {3, 1});                 // 4
  add(Operation::convolution, {4});            // 5: d
  add(Operation::convolution, {3});            // 6: e
  add(Operation::concatenate, {5, 6});         // 7
  add(Operation::convolution, {7});            // 8
  const auto nodes = [&](std::vector<std::size_t> sites) { return repaired_nodes(n, sites); };
  EXPECT_THAT(nodes({0}), testing::ElementsAre(3, 5, 6, 8));
  EXPECT_THAT(nodes({1}), testing::ElementsAre(5, 8));
  EXPECT_THAT(nodes({1, 3}), testing::ElementsAre(5, 6, 8));
  EXPECT_THAT(nodes({5}), testing::ElementsAre(8));
  const auto depth = [&](std::vector<std::size_t> sites) { return repair_depth(n, sites); };
  EXPECT_EQ(depth({0}), 3u) << "b, then d and e at once, then the last";
  EXPECT_EQ(depth({3}), 2u);
  EXPECT_EQ(depth({5}), 1u);
}

}  // namespace
}  // namespace triseg
