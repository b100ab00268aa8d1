// The numbers of a constant tensor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

namespace triseg {

/// Numbers in the type in which a file has them: weights take a byte each. Copies share them until one is changed.
class Elements {
 public:
  Elements() = default;
  Elements(std::initializer_list<double> numbers) : Elements(std::vector<double>(numbers)) {}
  template <class T>
  Elements(std::vector<T> numbers) : numbers_(std::make_shared<Numbers>(std::move(numbers))) {}

  std::size_t size() const;
  bool empty() const { return size() == 0; }
  double operator[](std::size_t index) const;
  bool finite() const;
  /// True where no element can leave 8 bits.
  bool bytes() const;
  std::vector<double> reals() const;
  /// To be changed.
  std::vector<double>& changed();
  void push_back(double number) { changed().push_back(number); }
  /// As many elements of the same type, element i being that at from(i).
  template <class From>
  Elements reordered(const From& from) const {
    if (empty()) return {};
    return std::visit(
        [&](const auto& numbers) {
          auto result = numbers;
          for (std::size_t i = 0; i < result.size(); ++i) result[i] = numbers[from(i)];
          return Elements(std::move(result));
        },
        *numbers_);
  }

  class Iterator {
   public:
    Iterator(const Elements& of, std::size_t index) : of_(&of), index_(index) {}
    double operator*() const { return (*of_)[index_]; }
    Iterator& operator++() {
      ++index_;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return index_ != other.index_; }

   private:
    const Elements* of_;
    std::size_t index_;
  };
  Iterator begin() const { return {*this, 0}; }
  Iterator end() const { return {*this, size()}; }

 private:
  using Numbers =
      std::variant<std::vector<double>, std::vector<float>, std::vector<std::int8_t>, std::vector<std::uint8_t>>;
  std::shared_ptr<Numbers> numbers_;
};

}  // namespace triseg
