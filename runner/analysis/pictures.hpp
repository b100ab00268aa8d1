// Pictures in text: a histogram of codes, and the staircase over it.
#pragma once

#include "core/codes.hpp"
#include "core/histogram.hpp"

#include <string>

namespace triseg {

/// The codes 0 .. codes - 1 in `columns` columns of equal width, each as a bar of eight heights in proportion to
/// log(1 + count) of its fullest code, a blank where there are none. UTF-8.
std::string histogram_picture(const Histogram& histogram, int codes, int columns);

/// What the staircase makes of them: "0", "1" for v1, "2" for v2, "/" for what passes through; of several codes in one
/// column the first.
std::string staircase_picture(const Codes& staircase, int codes, int columns);

}  // namespace triseg
