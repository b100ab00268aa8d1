// What a run's content must fulfil, whoever wrote it. A right digest only says that the file is as it was written.
#pragma once

#include "core/error.hpp"
#include "learner/run_data.hpp"

#include <cmath>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace triseg {

/// Collects violations; of one kind at one place only the first few, so that a broken column does not fill the screen.
class Violations {
 public:
  void add(const std::string& path, const std::string& what) {
    if (++count_[path] <= most_per_path) lines_.push_back(path + ": " + what);
    if (count_[path] == most_per_path + 1) lines_.push_back(path + ": more of these are not listed");
  }
  bool empty() const { return lines_.empty(); }
  std::vector<std::string> take() { return std::move(lines_); }

 private:
  static constexpr int most_per_path = 3;
  std::map<std::string, int> count_;
  std::vector<std::string> lines_;
};

template <class T>
void check_finite(const std::string& path, std::span<const T> values, Violations& report) {
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i]))
      report.add(path, fmt::format("element {} is {}: expected finite values", i, values[i]));
}

/// Adds what is impossible in the content of a run: codes that make no staircase or are not of its sites, rewards that
/// do not follow from scores, rows that point to no row, numbers that are not finite.
void check_content(const RunData& run, Violations& report);

}  // namespace triseg
