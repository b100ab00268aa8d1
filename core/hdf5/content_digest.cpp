#include "core/hdf5/content_digest.hpp"

namespace triseg {

void ContentDigest::add(std::string_view path, const Values& values) {
  sha_.add(fmt::format("{} {} {}\n", path, type_name(values.type), fmt::join(values.shape, ",")));
  if (values.type != Type::string) return sha_.add(values.bytes);
  for (const std::string& string : values.strings()) sha_.add(std::string_view(string.c_str(), string.size() + 1));
}

}  // namespace triseg
