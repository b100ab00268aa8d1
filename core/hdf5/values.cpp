#include "core/hdf5/values.hpp"

#include "core/text.hpp"

#include <algorithm>

namespace triseg {

std::string_view type_name(Type type) {
  constexpr std::string_view names[] = {"u8", "s8", "s32", "u64", "f32", "f64", "string"};
  return names[static_cast<int>(type)];
}

std::size_t type_size(Type type) {
  constexpr std::size_t sizes[] = {1, 1, 4, 8, 4, 8, 0};
  return sizes[static_cast<int>(type)];
}

std::uint64_t Values::count() const {
  std::uint64_t product = 1;
  for (const std::uint64_t n : shape) product *= n;
  return product;
}

Values Values::strings(std::span<const std::string> strings) {
  std::size_t size = 1;
  std::vector<std::string> valid;
  for (const std::string& s : strings) size = std::max(size, valid.emplace_back(valid_utf8(s)).size());
  Values result{Type::string, size, {valid.size()}, std::vector<std::byte>(valid.size() * size)};
  for (std::size_t i = 0; i < valid.size(); ++i) {
    if (valid[i].find('\0') != std::string::npos) fail("a string to be stored holds a NUL character");
    if (!valid[i].empty()) std::memcpy(result.bytes.data() + i * size, valid[i].data(), valid[i].size());
  }
  return result;
}

Values Values::string(const std::string& string) {
  Values result = strings(std::span(&string, 1));
  result.shape.clear();
  return result;
}

std::vector<std::string> Values::strings() const {
  if (type != Type::string) fail("expected string, found {}", describe(type, shape));
  std::vector<std::string> result;
  for (std::size_t i = 0; i < bytes.size(); i += element_size) {
    const char* begin = reinterpret_cast<const char*>(bytes.data() + i);
    result.emplace_back(begin, std::find(begin, begin + element_size, '\0'));
  }
  return result;
}

std::string describe(Type type, std::span<const std::uint64_t> shape) {
  return shape.empty() ? std::string(type_name(type)) : fmt::format("{} [{}]", type_name(type), fmt::join(shape, ","));
}

}  // namespace triseg
