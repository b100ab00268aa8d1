#include "importer/elements.hpp"

#include <algorithm>
#include <cmath>

namespace triseg {

std::size_t Elements::size() const {
  return numbers_ ? std::visit([](const auto& numbers) { return numbers.size(); }, *numbers_) : 0;
}

double Elements::operator[](std::size_t index) const {
  return std::visit([index](const auto& numbers) { return static_cast<double>(numbers[index]); }, *numbers_);
}

bool Elements::bytes() const { return numbers_ && numbers_->index() >= 2; }

bool Elements::finite() const {
  if (!numbers_ || bytes()) return true;
  return std::visit(
      [](const auto& numbers) {
        return std::all_of(numbers.begin(), numbers.end(), [](auto x) { return std::isfinite(double(x)); });
      },
      *numbers_);
}

std::vector<double> Elements::reals() const {
  if (!numbers_) return {};
  return std::visit([](const auto& numbers) { return std::vector<double>(numbers.begin(), numbers.end()); }, *numbers_);
}

std::vector<double>& Elements::changed() {
  if (!numbers_ || numbers_.use_count() > 1 || numbers_->index() != 0) numbers_ = std::make_shared<Numbers>(reals());
  return std::get<0>(*numbers_);
}

}  // namespace triseg
