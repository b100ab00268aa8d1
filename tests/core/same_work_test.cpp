#include "core/same_work.hpp"

#include <gtest/gtest.h>

namespace triseg {
namespace {

TEST(SameWork, EqualTextsAreTheSameWorkInAnyOrderOfLines) {
  EXPECT_EQ(difference(parse_work("lr = 0.1\nseed = 3\n"), parse_work("seed = 3\nlr = 0.1")), "");
  EXPECT_EQ(difference({}, {}), "");
}

TEST(SameWork, LinesAreNamesAndValues) {
  const Work work = parse_work("data = a = b\n\nempty = \nalone\nlast = 1");
  EXPECT_EQ(work, (Work{{"data", "a = b"}, {"empty", ""}, {"alone", ""}, {"last", "1"}}));
}

TEST(SameWork, EveryDifferenceIsNamedAsItsOption) {
  EXPECT_EQ(difference(parse_work("kd_T = 2\nqat_epochs = 4\nseed = 1\n"),
                       parse_work("kd_T = 4\nqat_epochs = 5\nseed = 1\n")),
            "--kd-T (2 instead of 4), --qat-epochs (4 instead of 5)");
}

TEST(SameWork, DigestsAreNotShown) {
  EXPECT_EQ(
      difference({{"data_sha256", "aa"}, {"model_sha256", "cc"}}, {{"data_sha256", "bb"}, {"model_sha256", "dd"}}),
      "--data (other images or labels), --teacher (another model file)");
  EXPECT_EQ(difference({{"x", "1"}}, {{"x", "2"}}, {{"x", {"--energy-table", "other energies"}}}),
            "--energy-table (other energies)");
}

TEST(SameWork, WhatOnlyOneOfThemSaysIsADifference) {
  EXPECT_EQ(difference({{"data", "shapes"}}, {{"data_sha256", "bb"}}),
            "--data (of no effect in this version), --data (no digest there)");
  EXPECT_EQ(difference({{"lr", "1"}}, {{"lr", "1"}, {"flip", "true"}}), "--flip (not recorded there)");
  EXPECT_EQ(difference({{"empty", ""}}, {}), "--empty (of no effect in this version)");
}

}  // namespace
}  // namespace triseg
