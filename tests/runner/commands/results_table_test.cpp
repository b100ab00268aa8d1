#include "runner/commands/results_table.hpp"

#include "tests/learner/files/examples.hpp"

#include <gmock/gmock.h>

namespace triseg {
namespace {

using testing::HasSubstr;

std::string table_of(double kd, double mse_kd) {
  RunData run = example_run();
  run.selected.test.kd = 10000 * kd;
  run.selected.test_mse.kd = 10000 * mse_kd;
  return results_table(run);
}

TEST(ResultsTable, ComparesKdWithThatOfTheMseOptimum) {
  EXPECT_THAT(table_of(0.25, 0.5), HasSubstr("\nKD 0.25000, 0.50 times the MSE optimum's 0.50000"));
}

TEST(ResultsTable, SaysInWordsThatThereIsNoRatio) {
  for (const double kd : {0.25, 0.0}) EXPECT_THAT(table_of(kd, 0), HasSubstr(", the MSE optimum's is 0: no ratio"));
  EXPECT_THAT(table_of(1e10, 1e-300), HasSubstr(", the MSE optimum's is 1e-300: no ratio"));
}

}  // namespace
}  // namespace triseg
