// The digest that run and model files carry over their own content, whatever the bytes around it.
#pragma once

#include "core/sha256.hpp"
#include "core/hdf5/values.hpp"

#include <string>
#include <string_view>

namespace triseg {

/// SHA-256 over, for every field in the order of adding: the line "PATH TYPE DIM,DIM\n" (an attribute's path is
/// "/group/@name"), then the elements row-major and little-endian; every string followed by one NUL instead of its
/// padding.
class ContentDigest {
 public:
  void add(std::string_view path, const Values& values);
  /// 64 hexadecimal digits. Call once.
  std::string hex() { return sha_.hex(); }

 private:
  Sha256 sha_;
};

/// The name of the root attribute that holds it.
inline constexpr const char* content_digest_attribute = "content_sha256";

}  // namespace triseg
