// Passes against the strict layer-by-layer fit, on a small network and real forwards.
#include "runner/repair_fit.hpp"

#include "tests/worker/random_network.hpp"
#include "worker/engines/engines.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace triseg {
namespace {

constexpr std::uint32_t images = 300;  // more than two batches, the last incomplete

/// One rank.
class Alone final : public Transport {
 public:
  std::string_view name() const override { return "alone"; }
  int rank() const override { return 0; }
  int size() const override { return 1; }
  int local_rank() const override { return 0; }
  int threads() const override { return 1; }
  void broadcast(std::vector<std::byte>&) override {}
  std::vector<std::vector<std::byte>> gather(std::span<const std::byte> mine) override {
    return {{mine.begin(), mine.end()}};
  }
  void abort(int code) override { std::exit(code); }
};

Problem small_problem() {
  using namespace triseg::testing;
  return random_problem(chain("small", 1, 28,
                              {convolution("conv1", 4, 5, 3, 0, 2), convolution("conv2", 8, 3, 1, 0, 1),
                               fully_connected("fc1", 12), fully_connected("fc2", 10)},
                              {}),
                        Scheme::fbgemm, 5);
}

class RepairPasses : public ::testing::TestWithParam<RepairMode> {
 protected:
  Problem problem_ = small_problem();
  const QuantizedNetwork& model_ = problem_.model;
  DataSet data_ = load_data_set("shapes");
  Scorer scorer_{problem_, data_, engine_factory(EngineKind::automatic, problem_), 2, 2.0};
  Alone alone_;
  Rollout rollout_{alone_, scorer_, false};
  std::vector<Codes> codes_ = std::vector<Codes>(3, Codes{20, 40, 60, 90, 120});

  RepairFit repair_fit() { return {rollout_, problem_, GetParam(), images}; }

  std::vector<Moments> measure(const std::vector<Codes>& codes, const Repair& repair) {
    std::vector<std::uint32_t> indices(images);
    std::iota(indices.begin(), indices.end(), 0u);
    std::vector<std::uint8_t> input(images * model_.network.input.size());
    quantize_images(model_, data_.train, indices, input);
    const auto engine = make_engine(EngineKind::reference, problem_);
    engine->load_images(input, images);
    std::vector<Moments> moments(model_.network.channels());
    engine->add_moments(codes.empty() ? teacher(problem_) : student(problem_, codes, repair), moments);
    return moments;
  }
};

TEST_P(RepairPasses, EqualTheFitLayerByLayer) {
  const std::vector<std::size_t> repaired = repaired_nodes(model_.network, problem_.sites);
  Repair strict(model_.nodes.size());
  const auto exact = measure({}, {});
  for (const std::size_t l : repaired) strict[l] = fit_repair(problem_, GetParam(), exact, measure(codes_, strict))[l];

  RepairFit fit = repair_fit();
  EXPECT_EQ(fit.most_passes(), 3u);
  std::uint64_t images_run = 0;
  EXPECT_EQ(fit.fit(codes_, images_run), strict);
  EXPECT_EQ(images_run, 3 * images);

  Repair repair;
  for (std::size_t p = 1; p <= 3; ++p) {
    EXPECT_TRUE(fit.pass(codes_, repair));
    for (std::size_t k = 0; k < p; ++k)
      EXPECT_EQ(repair[repaired[k]], strict[repaired[k]]) << "convolution " << k << " after pass " << p;
    EXPECT_EQ(repair == strict, p == 3) << "pass " << p;
  }
  EXPECT_FALSE(fit.pass(codes_, repair)) << "a fitted student stays as it is";
  EXPECT_EQ(repair, strict);
}

TEST_P(RepairPasses, ForgetWhereTheyStarted) {
  RepairFit fit = repair_fit();
  std::uint64_t images_run = 0;
  const Repair expected = fit.fit(codes_, images_run);
  Repair repair = fit.fit(std::vector<Codes>(3, Codes{5, 10, 15, 20, 25}), images_run);
  EXPECT_NE(repair, expected);
  for (std::size_t p = 0; p < fit.most_passes(); ++p) fit.pass(codes_, repair);
  EXPECT_EQ(repair, expected);
}

TEST_P(RepairPasses, GiveAccumulatorsTheTeachersMoments) {
  std::uint64_t images_run = 0;
  const Repair repair = repair_fit().fit(codes_, images_run);
  const auto exact = measure({}, {}), before = measure(codes_, {}), after = measure(codes_, repair);
  std::size_t at = model_.network.nodes[0].shape.channels;
  double worst_before = 0, worst_after = 0;
  for (const std::size_t l : repaired_nodes(model_.network, problem_.sites)) {
    const Requantization &own = model_.nodes[l].requantization, &fitted = *repair[l];
    // Mean output in codes, of each channel and of the layer.
    double teacher_mean = 0, before_mean = 0, after_mean = 0;
    for (std::size_t c = 0; c < own.bias.size(); ++c, ++at) {
      const auto mean = [](const Moments& m) { return double(m.sum) / double(m.count); };
      const double t = own.multiplier[c] * (mean(exact[at]) + own.bias[c]),
                   b = own.multiplier[c] * (mean(before[at]) + own.bias[c]);
      const double a = fitted.multiplier[c] * (mean(after[at]) + fitted.bias[c]);
      if (GetParam() == RepairMode::channel) {
        worst_before = std::max(worst_before, std::abs(b - t));
        worst_after = std::max(worst_after, std::abs(a - t));
      }
      teacher_mean += t / double(own.bias.size());
      before_mean += b / double(own.bias.size());
      after_mean += a / double(own.bias.size());
    }
    worst_before = std::max(worst_before, std::abs(before_mean - teacher_mean));
    worst_after = std::max(worst_after, std::abs(after_mean - teacher_mean));
  }
  EXPECT_LT(worst_after, 0.01);
  EXPECT_GT(worst_before, 0.5) << "the test's staircases shift nothing";
}

INSTANTIATE_TEST_SUITE_P(Modes, RepairPasses, ::testing::Values(RepairMode::layer, RepairMode::channel),
                         [](const auto& info) { return std::string(name_of(repair_modes, info.param)); });

}  // namespace
}  // namespace triseg
