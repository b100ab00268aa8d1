#include "core/hdf5/file_stamp.hpp"

#include <ctime>

namespace triseg {

std::string creator_version() { return TRISEG_VERSION; }

std::string file_time() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

int check_format(const hdf5::File& file, const std::string& name, const std::string& what, const std::string& format,
                 int oldest, int newest) {
  if (!file.has_attribute("/", "format") || file.attribute_info("/", "format").type != Type::string)
    fail("{}: expected {}, found an HDF5 file without the attribute format = \"{}\"", name, what, format);
  if (const std::string found = file.read_attribute("/", "format").string(); found != format)
    fail("{}: expected {} (format \"{}\"), found format \"{}\"", name, what, format, found);
  const Values stored = file.read_attribute("/", "schema_version");
  if (stored.type != Type::s32 || !stored.shape.empty())
    fail("{}: attribute schema_version: expected s32, found {}", name, describe(stored.type, stored.shape));
  const int found = stored.get<std::int32_t>();
  if (found < oldest || found > newest)
    fail("{}: has schema version {} of {}; this program reads versions {} to {}", name, found, format, oldest, newest);
  return found;
}

}  // namespace triseg
