// What is the cuda engine's own; that it agrees with the reference is in engine_agreement_test.cpp.
#include "worker/cuda/cuda_engine.hpp"

#include "core/error.hpp"
#include "network/recipes.hpp"
#include "tests/worker/random_network.hpp"
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

/// Values, sums and attention maps in front of the first site are made once; additions run with products, of whose
/// other operand no student has a say, too.
TEST(CudaEngine, WhatNoStudentHasASayInIsThatOfTheReference) {
  if (devices().empty()) GTEST_SKIP() << "this machine has no GPU";
  for (const std::size_t exact : {1, 3, 5}) {
    Problem problem = random_problem(make_recipe("resnet8").network, Scheme::fbgemm, 3);
    problem.sites.erase(problem.sites.begin(), problem.sites.begin() + exact);
    constexpr int images = 3;
    const auto codes = random_codes(std::size_t(images) * problem.network().input.size(), 4);
    std::vector<Student> students;
    for (int s = 0; s < 3; ++s) students.push_back(random_student(problem, 50 + s));
    const auto reference = make_reference_engine(problem), cuda = make_cuda_engine(problem, 0);
    for (const bool repaired : {false, true}) {
      if (repaired) replace_requantization(students[1], problem.model, 0, 60);
      std::vector<std::vector<OwnedForwardResult>> all;
      for (Engine* engine : {reference.get(), cuda.get()}) {
        engine->load_images(codes, images);
        std::vector<ForwardResult> results(students.size());
        engine->forward(students, results);
        all.emplace_back(results.begin(), results.end());
      }
      EXPECT_EQ(all[0], all[1]) << exact << (repaired ? ", repaired" : "");
    }
  }
}

TEST(CudaEngine, ADeviceThatIsNotThereIsNamed) {
  const Problem problem = random_problem(make_recipe("lenet5").network, Scheme::fbgemm, 3);
  EXPECT_THAT([&] { make_cuda_engine(problem, 99); }, ::testing::ThrowsMessage<Error>(::testing::HasSubstr("GPU")));
}

}  // namespace
}  // namespace triseg::testing
