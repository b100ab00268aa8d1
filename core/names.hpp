// Enumerations and the names that options and files have for their values.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>
#include <utility>

namespace triseg {

/// Names of the values of an enumeration, in the order of the documentation.
template <class E, std::size_t N>
using Names = std::array<std::pair<std::string_view, E>, N>;

/// The name of a value.
template <class Range, class E>
std::string_view name_of(const Range& names, E value) {
  for (const auto& [name, each] : names)
    if (each == value) return name;
  return {};
}

}  // namespace triseg
