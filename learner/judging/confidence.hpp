// Confidence intervals and tests of accuracies measured on a finite set of images.
#pragma once

#include "core/score.hpp"

namespace triseg {

/// Bounds of a 95 % confidence interval.
struct Interval {
  double low = 0;
  double high = 0;
};

/// Wilson's score interval of a share [percent], without continuity correction (Wilson 1927). {0, 0} if there are no
/// images.
Interval wilson_95(std::uint64_t right, std::uint64_t images);

/// Tango's score interval of the accuracy drop teacher - student [percentage points] (Tango, Statistics in Medicine 17,
/// 1998). Both saw the same images, so of n images those count that they disagree on: b that only the teacher has
/// right, c only the student. It holds the drops D whose score statistic is at most 1.96 in size,
///
///     (b - c - n D) / sqrt(n (2 q + D (1 - D)))      q: the share of the c, estimated by maximum likelihood given D
///
/// which at D = 0 is McNemar's. It has a width without a disagreement, too. {0, 0} if there are no images.
Interval drop_95(const Score& score);

/// That statistic, the drop being D [percentage points], which must be less than 100: standard normal if D is true,
/// positive if the score's drop is larger. 0 if there are no images, or no disagreement and D = 0.
double drop_statistic(const Score& score, double drop);

/// McNemar's test that teacher and student are right equally often (McNemar, Psychometrika 12, 1947), exact: of the
/// images that only one of them has right, b + c, half would be either's. The two-sided binomial p-value min(1, 2 sum
/// over k <= min(b, c) of C(b + c, k) / 2^(b + c)); 1 if they disagree on none.
double mcnemar_p(const Score& score);

/// The 97.5 % quantile of Student's t: the probability of values up to it, by the finite sums of Abramowitz and Stegun,
/// Handbook of Mathematical Functions, 26.7.3 and 26.7.4, inverted. degrees: of freedom, 1 or more.
double student_t_975(std::uint64_t degrees);

/// The probability that Student's t is larger than `t`, 0 or more. degrees: even, so that it is a finite algebraic sum
/// (26.7.4) with the same bits everywhere. To about 1e-16, absolute.
double student_t_tail(double t, std::uint64_t degrees);

/// A mean, and half the width of its 95 % interval for independent, normally distributed numbers: t s / sqrt(n).
/// half_width is not a number for fewer than two.
struct MeanInterval {
  double mean = 0, half_width = 0;
};
MeanInterval mean_95(std::span<const double> numbers);

}  // namespace triseg
