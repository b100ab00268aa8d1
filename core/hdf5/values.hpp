// Arrays of one of the few types that triseg's files hold, as plain bytes: what lies between a struct and a file.
#pragma once

#include "core/error.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace triseg {

static_assert(std::endian::native == std::endian::little, "Values holds the bytes of little-endian machines");

/// The element types of triseg's files. A string is fixed-length UTF-8, padded with NUL.
enum class Type { u8, s8, s32, u64, f32, f64, string };

/// "u8", "f64", "string", ...
std::string_view type_name(Type type);
/// Bytes of one element; 0 for strings, whose length belongs to the data.
std::size_t type_size(Type type);

template <class T>
constexpr Type type_of();
template <>
constexpr Type type_of<bool>() {
  return Type::u8;
}
template <>
constexpr Type type_of<std::uint8_t>() {
  return Type::u8;
}
template <>
constexpr Type type_of<std::int8_t>() {
  return Type::s8;
}
template <>
constexpr Type type_of<std::int32_t>() {
  return Type::s32;
}
template <>
constexpr Type type_of<std::uint64_t>() {
  return Type::u64;
}
template <>
constexpr Type type_of<float>() {
  return Type::f32;
}
template <>
constexpr Type type_of<double>() {
  return Type::f64;
}

struct Values {
  Type type = Type::u8;
  std::size_t element_size = 1;      ///< bytes; of strings the length all are padded to, at least 1
  std::vector<std::uint64_t> shape;  ///< () is a scalar
  std::vector<std::byte> bytes;      ///< row-major, little-endian: count() * element_size

  /// The number of elements that the shape makes.
  std::uint64_t count() const;

  /// An array of numbers; the shape must hold values.size() elements.
  template <class T>
  static Values array(std::span<const T> values, std::vector<std::uint64_t> shape);
  template <class T>
  static Values scalar(T value) {
    return array(std::span<const T>(&value, 1), {});
  }
  static Values strings(std::span<const std::string> strings);  ///< shape (strings); made valid UTF-8 (core/text.hpp)
  static Values string(const std::string& string);              ///< a scalar

  /// The numbers, row-major. T must be the C++ type of `type`.
  template <class T>
  std::span<const T> as() const;
  /// The number of a scalar.
  template <class T>
  T get() const {
    return as<T>()[0];
  }
  std::vector<std::string> strings() const;
  /// The string of a scalar.
  std::string string() const { return strings().at(0); }

  bool operator==(const Values&) const = default;
};

/// "u8 [10,7,4]", "string", "f64 []" of a shape and type, for messages.
std::string describe(Type type, std::span<const std::uint64_t> shape);

template <class T>
Values Values::array(std::span<const T> values, std::vector<std::uint64_t> shape) {
  Values result{type_of<T>(), sizeof(T), std::move(shape), {}};
  if (result.count() != values.size()) fail("{} values for {}", values.size(), describe(result.type, result.shape));
  result.bytes.resize(values.size_bytes());
  if (!values.empty()) std::memcpy(result.bytes.data(), values.data(), values.size_bytes());
  return result;
}

template <class T>
std::span<const T> Values::as() const {
  if (type_of<T>() != type) fail("expected {}, found {}", type_name(type_of<T>()), describe(type, shape));
  return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
}

}  // namespace triseg
