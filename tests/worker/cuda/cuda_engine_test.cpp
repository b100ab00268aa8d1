// What is the cuda engine's own; that it agrees with the reference is in engine_agreement_test.cpp.
#include "worker/cuda/cuda_engine.hpp"

#include "core/error.hpp"
#include "network/recipes.hpp"
#include "tests/worker/random_graph.hpp"
#include "worker/cuda/devices.hpp"
#include "worker/distillation.hpp"
#include "worker/reference_engine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace triseg::testing {
namespace {

TEST(CudaEngine, PartsOfACallKeepTheirResults) {
  if (devices().empty()) GTEST_SKIP() << "this machine has no GPU";
  const Problem problem = random_problem(make_recipe("lenet5").network, Scheme::fbgemm, 3);
  constexpr int images = 5;
  const auto codes = random_codes(std::size_t(images) * problem.network().input.size(), 4);
  std::vector<Student> students;
  for (int s = 0; s < 23; ++s) {
    students.push_back(random_student(problem, 50 + s));
    if (s % 4 == 0) replace_requantization(students.back(), problem.model, s % 2, 60 + s);
  }
  std::vector<std::vector<OwnedForwardResult>> all;
  const auto reference = make_reference_engine(problem);
  const auto one_by_one = make_cuda_engine(problem, 0, 1), in_parts = make_cuda_engine(problem, 0, 200000);
  for (Engine* engine : {reference.get(), one_by_one.get(), in_parts.get()}) {
    engine->load_images(codes, images);
    std::vector<ForwardResult> results(students.size());
    for (int repetition = 0; repetition < 2; ++repetition) engine->forward(students, results);
    all.emplace_back(results.begin(), results.end());
  }
  EXPECT_EQ(all[0], all[1]);
  EXPECT_EQ(all[0], all[2]);
}

/// Scores at temperatures with nearly equal probabilities, too, in one part and in many, and with maps of zeros.
TEST(CudaEngine, ScoresAreThoseOfTheCpuToTheBit) {
  if (devices().empty()) GTEST_SKIP() << "this machine has no GPU";
  const Problem problem = random_problem(make_recipe("lenet5").network, Scheme::fbgemm, 3);
  constexpr int images = 7;
  const auto codes = random_codes(std::size_t(images) * problem.network().input.size(), 4);
  const std::vector<std::uint16_t> labels = {0, 1, 2, 3, 4, 9, 300};
  std::vector<Student> students = {teacher(problem)};
  for (int s = 0; s < 20; ++s) students.push_back(random_student(problem, 50 + s));
  replace_requantization(students[3], problem.model, 1, 60);
  students.push_back(students.front());
  for (Table& table : students.back().tables) table.fill(0);
  const auto reference = make_reference_engine(problem);
  reference->load_images(codes, images);
  std::vector<ForwardResult> results(students.size());
  reference->forward(students, results);
  const auto whole = make_cuda_engine(problem, 0), one_by_one = make_cuda_engine(problem, 0, 1);
  for (const double temperature : {0.1, 2.0, 1e4}) {
    const TeacherTarget target(problem.model, results.front(), labels, temperature);
    for (Engine* engine : {whole.get(), one_by_one.get()}) {
      engine->load_images(codes, images);
      std::vector<Score> scores(students.size());
      int meanwhile = 0;
      engine->device_scoring()->score(students, labels, temperature, scores, [&] { ++meanwhile; });
      EXPECT_EQ(meanwhile, 1);
      for (std::size_t s = 0; s < students.size(); ++s)
        EXPECT_EQ(scores[s], target.score(results[s])) << "student " << s << ", temperature " << temperature;
    }
  }
}

TEST(CudaEngine, RefusesWhatIsNoChainByNodeAndOperation) {
  constexpr Window around{3, 3, 1, 1, 1, 1, 1, 1, 1, 1};  // keeps the plane
  const auto refused = [&](auto&& add, Shape input = {3, 8, 8}) {
    GraphBuilder g("n", input);
    add(g, g.convolution(image_value, 4, around));
    return cuda_engine_refusal(random_problem(g.finish(3), Scheme::qnnpack, 1)).value_or("");
  };
  EXPECT_EQ(refused([](auto& g, int x) { g.operation(Operation::add, {x, x}); }), "node add1: cuda has no `add`");
  EXPECT_EQ(refused([](auto&, int) {}), "node average1: cuda has no `average`");
  EXPECT_EQ(refused([](auto& g, int x) { g.convolution(x, 4, {}, true, 2); }),
            "node convolution1: cuda has no `convolution` in 2 groups");
  EXPECT_EQ(refused([](auto& g, int x) {
              g.convolution(x, 4, {3, 1});
            }),
            "node convolution1: cuda has no `convolution` that is not square");
  EXPECT_EQ(refused([](auto& g, int x) {
              g.convolution(x, 4, {2, 2, 1, 1, 2, 2});
            }),
            "node convolution1: cuda has no `convolution` with dilation");
  EXPECT_EQ(refused([](auto&, int) {}, {3, 8, 7}), "node convolution0: cuda has no `convolution` that is not square");
  EXPECT_EQ(refused([](auto& g, int x) {
              g.maximum(x, {3, 3, 2, 2});
            }),
            "node maximum1: cuda has no `maximum` other than by its own side behind a convolution, as no site");
  EXPECT_EQ(refused([](auto& g, int x) {
              g.convolution(x, 4, {});
              g.convolution(image_value, 4, {});
            }),
            "node convolution2: cuda has no branches");
  EXPECT_EQ(refused([&](auto& g, int x) { g.convolution(g.convolution(x, 4, {}, false), 4, around); }),
            "node convolution2: cuda has no border padding with input zero point 128");
  EXPECT_FALSE(cuda_engine_refusal(random_problem(make_recipe("alexnet").network, Scheme::fbgemm, 1)));
}

TEST(CudaEngine, ADeviceThatIsNotThereIsNamed) {
  const Problem problem = random_problem(make_recipe("lenet5").network, Scheme::fbgemm, 3);
  EXPECT_THAT([&] { make_cuda_engine(problem, 99); }, ::testing::ThrowsMessage<Error>(::testing::HasSubstr("GPU")));
}

}  // namespace
}  // namespace triseg::testing
