#include "core/hdf5/library.hpp"

namespace triseg::hdf5 {
namespace {

/// Deflate shrinks a block at most 1,032 times: a file that claims to hold more is damaged.
constexpr std::uint64_t largest_compression = 1100;

}  // namespace

Handle::Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}

Handle& Handle::operator=(Handle&& other) noexcept {
  std::swap(id_, other.id_);
  std::swap(close_, other.close_);
  return *this;
}

Handle::~Handle() {
  if (id_ >= 0) close_(id_);
}

std::unique_lock<std::recursive_mutex> turn() {
  static std::recursive_mutex library;
  std::unique_lock own(library);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  return own;
}

std::string library_error() {
  std::string text;
  const auto visit = [](unsigned n, const H5E_error2_t* entry, void* out) -> herr_t {
    if (n == 0) *static_cast<std::string*>(out) = entry->desc ? entry->desc : "";
    return 0;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, visit, &text);
  H5Eclear2(H5E_DEFAULT);
  return text.empty() ? "no reason given" : text;
}

int close_file(std::int64_t id) { return H5Fclose(id); }
int close_object(std::int64_t id) { return H5Oclose(id); }
int close_dataset(std::int64_t id) { return H5Dclose(id); }
int close_group(std::int64_t id) { return H5Gclose(id); }
int close_attribute(std::int64_t id) { return H5Aclose(id); }
int close_type(std::int64_t id) { return H5Tclose(id); }
int close_space(std::int64_t id) { return H5Sclose(id); }
int close_list(std::int64_t id) { return H5Pclose(id); }

Handle property_list(const Subject& call, hid_t list_class) {
  return {call("H5Pcreate", H5Pcreate(list_class)), close_list};
}

std::vector<std::uint64_t> extent(const Subject& call, hid_t space, std::size_t element_size, std::uint64_t file_size) {
  const H5S_class_t kind = H5Sget_simple_extent_type(space);
  if (kind != H5S_SCALAR && kind != H5S_SIMPLE) fail("{}: expected a scalar or an array, found neither", call.name);
  std::vector<hsize_t> dims(call("H5Sget_simple_extent_ndims", H5Sget_simple_extent_ndims(space)));
  call("H5Sget_simple_extent_dims", H5Sget_simple_extent_dims(space, dims.data(), nullptr));
  std::uint64_t bytes = element_size;
  for (const std::uint64_t n : dims)
    if (__builtin_mul_overflow(bytes, n, &bytes)) bytes = std::uint64_t(-1);
  if (bytes / largest_compression > file_size)
    fail("{}: claims to hold [{}] elements of {} bytes, more than a file of {} bytes can", call.name,
         fmt::join(dims, ","), element_size, file_size);
  return {dims.begin(), dims.end()};
}

void check_storage(const Subject& call, hid_t dataset) {
  const Handle creation(call("H5Dget_create_plist", H5Dget_create_plist(dataset)), close_list);
  if (call("H5Pget_external_count", H5Pget_external_count(creation.id())) > 0 ||
      call("H5Pget_layout", H5Pget_layout(creation.id())) == H5D_VIRTUAL)
    fail("{}: its values lie in other files, which are not read: repack the file", call.name);
}

void check_filters(const Subject& call, hid_t dataset) {
  const Handle creation(call("H5Dget_create_plist", H5Dget_create_plist(dataset)), close_list);
  const int filters = call("H5Pget_nfilters", H5Pget_nfilters(creation.id()));
  for (int i = 0; i < filters; ++i) {
    unsigned flags = 0;
    std::size_t values = 0;
    char name[64] = {};
    const H5Z_filter_t filter = call("H5Pget_filter2", H5Pget_filter2(creation.id(), unsigned(i), &flags, &values,
                                                                      nullptr, sizeof name - 1, name, nullptr));
    if (H5Zfilter_avail(filter) <= 0)
      fail("{}: the HDF5 library {} has no filter {} ({}): rewrite the file with gzip or without compression",
           call.name, version(), filter, name);
  }
}

std::string version() {
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  return fmt::format("{}.{}.{}", major, minor, release);
}

}  // namespace triseg::hdf5
