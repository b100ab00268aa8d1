// How learning rates fall.
#pragma once

#include <cmath>
#include <numbers>

namespace triseg {

/// Factor of a learning rate after a share 0..1 of all steps: from 1 to 0 (Loshchilov and Hutter 2017,
/// arXiv:1608.03983).
inline double half_cosine(double share) { return 0.5 * (1.0 + std::cos(std::numbers::pi * share)); }

}  // namespace triseg
