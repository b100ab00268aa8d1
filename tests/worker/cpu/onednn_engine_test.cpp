#include "worker/cpu/onednn_engine.hpp"

#include "network/recipes.hpp"
#include "tests/worker/random_network.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace triseg::testing {
namespace {

/// The tests also run under DNNL_MAX_CPU_ISA, where the CPU seems to lack VNNI.
bool without_vnni() { return std::getenv("DNNL_MAX_CPU_ISA") != nullptr; }

TEST(OneDnnEngineSelfTest, HalvesWeightsWhereInt8Saturates) {
  const Problem problem = random_problem(make_recipe("lenet5").network, Scheme::fbgemm, 5);
  const std::string description = make_onednn_engine(problem)->description();
  if (without_vnni()) {
    EXPECT_THAT(description, ::testing::HasSubstr("in two halves"));
  } else if (__builtin_cpu_supports("avx512vnni")) {
    EXPECT_THAT(description, ::testing::Not(::testing::HasSubstr("halves")));
  }
}

TEST(OneDnnEngineSelfTest, KeepsOneProductWhereNoPairSumCanSaturate) {
  const Problem problem = random_problem(make_recipe("lenet5").network, Scheme::fbgemm, 5, {.largest_weight = 64});
  EXPECT_THAT(make_onednn_engine(problem)->description(), ::testing::Not(::testing::HasSubstr("halves")));
}

}  // namespace
}  // namespace triseg::testing
