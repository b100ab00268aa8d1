#include "core/hdf5/large_file.hpp"

#include "core/atomic_file.hpp"
#include "core/hdf5/library.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <numeric>

namespace triseg::hdf5 {
namespace {

/// Unpacked chunks that are kept of each array.
constexpr std::size_t cache_bytes = std::size_t{16} << 20;
/// What one call of the library reads, at most, if more than one row.
constexpr std::size_t piece_bytes = std::size_t{4} << 20;
constexpr std::size_t largest_packed_chunk = std::size_t{64} << 20;
/// A prime number of hash places, far more than chunks are kept.
constexpr std::size_t cache_places = 12421;

struct Array {
  Handle dataset, type, space;
  std::vector<std::uint64_t> shape;
};

Array open_array(const Subject& call, hid_t file, const std::string& path, std::uint64_t file_size, hid_t access) {
  Array a;
  a.dataset = Handle(call("H5Dopen2", H5Dopen2(file, path.c_str(), access)), close_dataset);
  check_storage(call, a.dataset.id());
  check_filters(call, a.dataset.id());
  a.type = Handle(call("H5Dget_type", H5Dget_type(a.dataset.id())), close_type);
  a.space = Handle(call("H5Dget_space", H5Dget_space(a.dataset.id())), close_space);
  a.shape = extent(call, a.space.id(), H5Tget_size(a.type.id()), file_size);
  return a;
}

/// Bytes of a chunk that is unpacked as a whole; 0 if there are none.
std::size_t packed_chunk_bytes(const Subject& call, hid_t dataset, std::size_t dimensions) {
  const Handle creation(call("H5Dget_create_plist", H5Dget_create_plist(dataset)), close_list);
  if (H5Pget_layout(creation.id()) != H5D_CHUNKED || H5Pget_nfilters(creation.id()) == 0) return 0;
  std::vector<hsize_t> sides(dimensions);
  call("H5Pget_chunk", H5Pget_chunk(creation.id(), int(dimensions), sides.data()));
  return std::accumulate(sides.begin(), sides.end(), std::size_t{1}, std::multiplies<>());
}

}  // namespace

LargeFile::LargeFile(const std::filesystem::path& path) : name_(path.string()) {
  ::close(open_file(path));  // whose error says more, of a folder or a pipe too
  size_ = std::filesystem::file_size(path);
  const auto own = turn();
  const Subject call{name_};
  const Handle access = property_list(call, H5P_FILE_ACCESS);
#if H5_VERSION_GE(1, 10, 7) && !(H5_VERS_MINOR == 12 && H5_VERS_RELEASE == 0)
  call("H5Pset_file_locking", H5Pset_file_locking(access.id(), false, true));
#endif
  const hid_t id = H5Fopen(name_.c_str(), H5F_ACC_RDONLY, access.id());
  if (id < 0) fail("{}: expected a whole HDF5 file: H5Fopen failed: {}", name_, library_error());
  file_ = Handle(id, close_file);
}

LargeFile::~LargeFile() {
  const auto own = turn();
  rows_.clear();
  file_ = Handle();
}

bool LargeFile::has_dataset(const std::string& path) const {
  const auto own = turn();
  for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    if (H5Lexists(file_.id(), part.c_str(), H5P_DEFAULT) <= 0) return false;
    if (end == std::string::npos) break;
  }
  const hid_t id = H5Oopen(file_.id(), path.c_str(), H5P_DEFAULT);  // < 0: a link to what is not there
  const Handle object(id, close_object);
  return id >= 0 && H5Iget_type(id) == H5I_DATASET;
}

std::vector<std::uint64_t> LargeFile::shape(const std::string& path) const {
  const auto own = turn();
  return open_array({fmt::format("{}: {}", name_, path)}, file_.id(), path, size_, H5P_DEFAULT).shape;
}

std::optional<std::string> LargeFile::text_attribute(const std::string& name) const {
  const auto own = turn();
  const Subject call{fmt::format("{}: attribute {}", name_, name)};
  if (call("H5Aexists", H5Aexists(file_.id(), name.c_str())) == 0) return std::nullopt;
  const Handle attribute(call("H5Aopen", H5Aopen(file_.id(), name.c_str(), H5P_DEFAULT)), close_attribute);
  const Handle type(call("H5Aget_type", H5Aget_type(attribute.id())), close_type);
  const Handle space(call("H5Aget_space", H5Aget_space(attribute.id())), close_space);
  if (H5Tget_class(type.id()) != H5T_STRING || H5Sget_simple_extent_npoints(space.id()) != 1)
    fail("{}: expected a string", call.name);
  if (call("H5Tis_variable_str", H5Tis_variable_str(type.id())) > 0) {
    char* text = nullptr;
    call("H5Aread", H5Aread(attribute.id(), type.id(), static_cast<void*>(&text)));
    std::string copy = text ? text : "";
    H5free_memory(text);
    return copy;
  }
  std::string text(H5Tget_size(type.id()), '\0');
  call("H5Aread", H5Aread(attribute.id(), type.id(), text.data()));
  text.resize(std::strlen(text.c_str()));
  return text;
}

std::vector<std::int64_t> LargeFile::read_integers(const std::string& path) const {
  const auto own = turn();
  const Subject call{fmt::format("{}: {}", name_, path)};
  const Array a = open_array(call, file_.id(), path, size_, H5P_DEFAULT);
  if (H5Tget_class(a.type.id()) != H5T_INTEGER) fail("{}: expected integers, found another type", call.name);
  std::vector<std::int64_t> values(
      std::accumulate(a.shape.begin(), a.shape.end(), std::uint64_t{1}, std::multiplies<>()));
  if (!values.empty())
    call("H5Dread", H5Dread(a.dataset.id(), H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()));
  return values;
}

std::vector<std::uint64_t> LargeFile::open_rows(const std::string& path) {
  const auto own = turn();
  const Subject call{fmt::format("{}: {}", name_, path)};
  const auto open = [&](std::size_t cache) {
    const Handle access = property_list(call, H5P_DATASET_ACCESS);
    call("H5Pset_chunk_cache", H5Pset_chunk_cache(access.id(), cache_places, cache, H5D_CHUNK_CACHE_W0_DEFAULT));
    return open_array(call, file_.id(), path, size_, access.id());
  };
  Array a = open(cache_bytes);
  const hid_t type = a.type.id();
  if (H5Tget_class(type) != H5T_INTEGER || H5Tget_size(type) != 1 || H5Tget_sign(type) != H5T_SGN_NONE)
    fail("{}: expected unsigned integers of 8 bits (uint8), found another type", call.name);
  if (a.shape.empty()) fail("{}: expected an array, found a scalar", call.name);
  const std::size_t chunk = packed_chunk_bytes(call, a.dataset.id(), a.shape.size());
  if (chunk > largest_packed_chunk)
    fail("{}: its chunks have {} MiB and are compressed, expected at most {}: write them smaller, as with h5repack -l",
         call.name, chunk >> 20, largest_packed_chunk >> 20);
  if (chunk > cache_bytes) {
    a = Array();  // a dataset that is open keeps its cache
    a = open(chunk);
  }
  Rows& rows = rows_[path] = Rows{std::move(a.dataset), std::move(a.space), std::move(a.shape)};
  return rows.shape;
}

void LargeFile::read_rows(const std::string& path, std::span<const std::uint32_t> rows,
                          std::span<std::uint8_t> out) const {
  const auto own = turn();
  const Subject call{fmt::format("{}: {}", name_, path)};
  const Rows& array = rows_.at(path);
  const std::size_t row_bytes =
      std::accumulate(array.shape.begin() + 1, array.shape.end(), std::size_t{1}, std::multiplies<>());
  std::vector<std::size_t> order(rows.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return rows[a] < rows[b]; });

  std::vector<hsize_t> start(array.shape.size()), count(array.shape.begin(), array.shape.end());
  std::vector<std::uint8_t> piece;
  for (std::size_t begin = 0; begin < order.size();) {
    const std::uint64_t first = rows[order[begin]];
    std::uint64_t next = first + 1;  // behind the run
    std::size_t end = begin + 1;
    for (; end < order.size() && rows[order[end]] <= next; ++end) {
      if (rows[order[end]] < next) continue;  // the same row again
      if ((next + 1 - first) * row_bytes > piece_bytes) break;
      ++next;
    }
    start[0] = first;
    count[0] = next - first;
    piece.resize(count[0] * row_bytes);
    call("H5Sselect_hyperslab",
         H5Sselect_hyperslab(array.space.id(), H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr));
    const hsize_t bytes = piece.size();
    const Handle memory(call("H5Screate_simple", H5Screate_simple(1, &bytes, nullptr)), close_space);
    call("H5Dread",
         H5Dread(array.dataset.id(), H5T_NATIVE_UINT8, memory.id(), array.space.id(), H5P_DEFAULT, piece.data()));
    for (; begin < end; ++begin)
      std::memcpy(&out[order[begin] * row_bytes], &piece[(rows[order[begin]] - first) * row_bytes], row_bytes);
  }
}

}  // namespace triseg::hdf5
