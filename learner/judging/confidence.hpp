// Confidence intervals and tests of accuracies measured on a finite set of images.
#pragma once

#include "core/score.hpp"

namespace triseg {

/// Bounds of a 95 % confidence interval.
struct Interval {
  double low = 0;
  double high = 0;
};

/// Wilson's score interval of a share [percent], without continuity correction (Wilson 1927). {0, 0} if there are no images.
Interval wilson_95(std::uint64_t right, std::uint64_t images);

/// Of the accuracy drop teacher - student [percentage points]. Both saw the same images, so only those count that they
/// disagree on: normal approximation of the paired difference, variance (b + c - (b - c)^2 / n) / n^2 with b teacher_only
/// and c student_only.
Interval drop_95(const Score& score);

/// McNemar's test that teacher and student are right equally often (McNemar, Psychometrika 12, 1947), exact: of the images
/// that only one of them has right, b + c, half would be either's. The two-sided binomial p-value
/// min(1, 2 sum over k <= min(b, c) of C(b + c, k) / 2^(b + c)); 1 if they disagree on none.
double mcnemar_p(const Score& score);

}  // namespace triseg
