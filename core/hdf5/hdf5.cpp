#include "core/hdf5/hdf5.hpp"
#include "core/hdf5/library.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace triseg::hdf5 {
namespace {

/// Bytes of a chunk of a dataset, about: large enough to compress, small enough to read a part.
constexpr std::uint64_t chunk_bytes = 256 * 1024;
/// Deflate level 1: the columns compress as well by the shuffle filter before it as by higher levels, at a fifth of the
/// time.
constexpr unsigned deflate_level = 1;

/// The properties of a new file, group or dataset: without times, and with all links and attributes in the object's
/// checksummed header. Else many of them move to a heap without checksums, on whose damage 1.10 crashes.
Handle creation_list(const Subject& call, hid_t list_class) {
  Handle list = property_list(call, list_class);
  call("H5Pset_obj_track_times", H5Pset_obj_track_times(list.id(), false));
  call("H5Pset_attr_phase_change", H5Pset_attr_phase_change(list.id(), 65535, 65535));
  if (list_class != H5P_DATASET_CREATE)
    call("H5Pset_link_phase_change", H5Pset_link_phase_change(list.id(), 65535, 65535));
  return list;
}

Handle make_type(const Subject& call, Type type, std::size_t element_size) {
  const auto copy = [&](hid_t of) { return Handle(call("H5Tcopy", H5Tcopy(of)), close_type); };
  switch (type) {
    case Type::u8: return copy(H5T_STD_U8LE);
    case Type::s8: return copy(H5T_STD_I8LE);
    case Type::s32: return copy(H5T_STD_I32LE);
    case Type::u64: return copy(H5T_STD_U64LE);
    case Type::f32: return copy(H5T_IEEE_F32LE);
    case Type::f64: return copy(H5T_IEEE_F64LE);
    case Type::string: break;
  }
  Handle string = copy(H5T_C_S1);
  call("H5Tset_size", H5Tset_size(string.id(), element_size));
  call("H5Tset_strpad", H5Tset_strpad(string.id(), H5T_STR_NULLPAD));
  call("H5Tset_cset", H5Tset_cset(string.id(), H5T_CSET_UTF8));
  return string;
}

Handle make_space(const Subject& call, const std::vector<std::uint64_t>& shape, bool extendible) {
  if (shape.empty()) return {call("H5Screate", H5Screate(H5S_SCALAR)), close_space};
  const std::vector<hsize_t> dims(shape.begin(), shape.end());
  std::vector<hsize_t> largest = dims;
  for (std::size_t i = 0; i < dims.size(); ++i)
    if (extendible && (i == 0 || dims[i] == 0)) largest[i] = H5S_UNLIMITED;
  return {call("H5Screate_simple", H5Screate_simple(int(dims.size()), dims.data(), largest.data())), close_space};
}

void set_filters(const Subject& call, hid_t list, const Values& values) {
  std::vector<hsize_t> chunk(values.shape.begin(), values.shape.end());
  std::uint64_t row = values.element_size;
  for (std::size_t i = 1; i < chunk.size(); ++i) row *= chunk[i] = std::max<hsize_t>(chunk[i], 1);
  chunk[0] = std::clamp<hsize_t>(chunk_bytes / row, 1, std::max<hsize_t>(chunk[0], 1));
  call("H5Pset_chunk", H5Pset_chunk(list, int(chunk.size()), chunk.data()));
  call("H5Pset_shuffle", H5Pset_shuffle(list));
  call("H5Pset_deflate", H5Pset_deflate(list, deflate_level));
  call("H5Pset_fletcher32", H5Pset_fletcher32(list));
}

Info make_info(const Subject& call, hid_t type, hid_t space, std::uint64_t file_size) {
  Info info;
  info.element_size = H5Tget_size(type);
  const H5T_class_t type_class = H5Tget_class(type);
  const bool is_signed = type_class == H5T_INTEGER && H5Tget_sign(type) == H5T_SGN_2;
  const auto is = [&](H5T_class_t expected, Type t, bool with_sign = false) {
    return type_class == expected && info.element_size == type_size(t) && is_signed == with_sign;
  };
  if (is(H5T_INTEGER, Type::u8)) info.type = Type::u8;
  else if (is(H5T_INTEGER, Type::s8, true)) info.type = Type::s8;
  else if (is(H5T_INTEGER, Type::s32, true)) info.type = Type::s32;
  else if (is(H5T_INTEGER, Type::u64)) info.type = Type::u64;
  else if (is(H5T_FLOAT, Type::f32)) info.type = Type::f32;
  else if (is(H5T_FLOAT, Type::f64)) info.type = Type::f64;
  else if (type_class == H5T_STRING && call("H5Tis_variable_str", H5Tis_variable_str(type)) == 0)
    info.type = Type::string;
  else fail("{}: expected u8, s8, s32, u64, f32, f64 or fixed-length strings, found another type", call.name);

  info.shape = extent(call, space, info.element_size, file_size);
  return info;
}

/// Files live in memory, but the library wants a name, and refuses one that exists: nothing can lie below a device.
constexpr const char* memory_name = "/dev/null/triseg";

Handle memory_access_list(const Subject& call) {
  Handle list = property_list(call, H5P_FILE_ACCESS);
  call("H5Pset_fapl_core", H5Pset_fapl_core(list.id(), 4 << 20, false));
  return list;
}

}  // namespace

/// The memory of a created file. The library's own copy, H5Fget_file_image, has a superblock with a wrong checksum
/// in 1.10 (the consistency flags are cleared, the checksum over them is not renewed), so the buffer of the closed file
/// is taken.
struct File::Image {
  void* data = nullptr;

  static void* allocate(std::size_t size, H5FD_file_image_op_t, void*) { return std::malloc(size); }
  static void* copy(void* to, const void* from, std::size_t size, H5FD_file_image_op_t, void*) {
    return std::memcpy(to, from, size);
  }
  static void* reallocate(void* data, std::size_t size, H5FD_file_image_op_t, void*) {
    return std::realloc(data, size);
  }
  static herr_t release(void* data, H5FD_file_image_op_t operation, void* image) {
    if (operation == H5FD_FILE_IMAGE_OP_FILE_CLOSE) std::swap(data, static_cast<Image*>(image)->data);
    std::free(data);
    return 0;
  }
  static void* share(void* image) { return image; }
  static herr_t unshare(void*) { return 0; }
};

void File::ImageDeleter::operator()(Image* image) const {
  std::free(image->data);
  delete image;
}

File File::create() {
  auto own = turn();
  const Subject call{"new HDF5 file"};
  const Handle access = memory_access_list(call), creation = creation_list(call, H5P_FILE_CREATE);
  call("H5Pset_libver_bounds", H5Pset_libver_bounds(access.id(), H5F_LIBVER_V18, H5F_LIBVER_V18));
  std::unique_ptr<Image, ImageDeleter> image(new Image);
  H5FD_file_image_callbacks_t callbacks{Image::allocate, Image::copy,    Image::reallocate, Image::release,
                                        Image::share,    Image::unshare, image.get()};
  call("H5Pset_file_image_callbacks", H5Pset_file_image_callbacks(access.id(), &callbacks));
  Handle handle(call("H5Fcreate", H5Fcreate(memory_name, H5F_ACC_TRUNC, creation.id(), access.id())), close_file);
  File file(std::move(own), std::move(handle), call.name, 0);
  file.image_ = std::move(image);
  return file;
}

File File::open(std::span<const std::byte> bytes, std::string name) {
  auto own = turn();
  const Subject call{name};
  const Handle access = memory_access_list(call);
  if (bytes.empty()) fail("{}: expected an HDF5 file, found an empty file", name);
  call("H5Pset_file_image", H5Pset_file_image(access.id(), const_cast<std::byte*>(bytes.data()), bytes.size()));
  const hid_t id = H5Fopen(memory_name, H5F_ACC_RDONLY, access.id());
  if (id < 0) fail("{}: expected a whole HDF5 file: H5Fopen failed: {}", name, library_error());
  File file(std::move(own), Handle(id, close_file), std::move(name), bytes.size());
  file.index();
  return file;
}

std::vector<std::byte> File::close() {
  const Subject call{name_};
  call("H5Fclose", H5Fclose(file_.release()));
  // The buffer is larger than the file. Superblock of version 2: byte 8 is the version, bytes 28..35 the end of the
  // file.
  const auto* data = static_cast<const std::byte*>(image_->data);
  if (!data || data[8] != std::byte{2}) fail("{}: H5Fclose left no file image with a superblock of version 2", name_);
  std::uint64_t size = 0;
  std::memcpy(&size, data + 28, sizeof(size));
  return {data, data + size};
}

void File::create_group(const std::string& path) {
  const Subject call{path};
  for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    if (!objects_.contains(part)) {
      const Handle creation = creation_list(call, H5P_GROUP_CREATE);
      const Handle created(
          call("H5Gcreate2", H5Gcreate2(file_.id(), part.c_str(), H5P_DEFAULT, creation.id(), H5P_DEFAULT)),
          close_group);
      objects_.emplace(part, Kind::group);
    }
    if (end == std::string::npos) return;
  }
}

void File::write_dataset(const std::string& path, const Values& values) {
  const Subject call{path};
  if (const std::size_t slash = path.rfind('/'); slash > 0) create_group(path.substr(0, slash));
  const Handle type = make_type(call, values.type, values.element_size), space = make_space(call, values.shape, true);
  const Handle creation = creation_list(call, H5P_DATASET_CREATE);
  if (!values.shape.empty()) set_filters(call, creation.id(), values);
  const Handle dataset(call("H5Dcreate2", H5Dcreate2(file_.id(), path.c_str(), type.id(), space.id(), H5P_DEFAULT,
                                                     creation.id(), H5P_DEFAULT)),
                       close_dataset);
  if (!values.bytes.empty())
    call("H5Dwrite", H5Dwrite(dataset.id(), type.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.bytes.data()));
  objects_.emplace(path, Kind::dataset);
}

void File::write_external_link(const std::string& path, const std::string& file) {
  const Subject call{path};
  if (const std::size_t slash = path.rfind('/'); slash > 0) create_group(path.substr(0, slash));
  call("H5Lcreate_external", H5Lcreate_external(file.c_str(), "/", file_.id(), path.c_str(), H5P_DEFAULT, H5P_DEFAULT));
  objects_.emplace(path, Kind::other);
}

void File::write_attribute(const std::string& object, const std::string& name, const Values& values) {
  const Subject call{fmt::format("{}, attribute {}", object, name)};
  const Handle type = make_type(call, values.type, values.element_size), space = make_space(call, values.shape, false);
  const Handle attribute(
      call("H5Acreate_by_name", H5Acreate_by_name(file_.id(), object.c_str(), name.c_str(), type.id(), space.id(),
                                                  H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT)),
      close_attribute);
  call("H5Awrite", H5Awrite(attribute.id(), type.id(), values.bytes.data()));
}

namespace {
/// Groups in groups, at most: to open those of a deeper file takes ever longer.
constexpr std::ptrdiff_t deepest_group = 32;
}  // namespace

void File::index() {
  const Subject call{name_};
  std::vector<std::pair<std::string, bool>> links;  // name, is a hard link
  const auto visit = [](hid_t, const char* name, const H5L_info_t* info, void* out) -> herr_t {
    static_cast<decltype(links)*>(out)->emplace_back(name, info->type == H5L_TYPE_HARD);
    return std::count(name, name + std::strlen(name), '/') >= deepest_group;  // not 0 ends the visit
  };
  if (call("H5Lvisit", H5Lvisit(file_.id(), H5_INDEX_NAME, H5_ITER_INC, visit, &links)) > 0)
    fail("{}: its groups are nested more than {} deep: no file of triseg's is", name_, deepest_group);
  for (const auto& [name, hard] : links) {
    Kind kind = Kind::other;
    if (hard) {
      const Handle object(call("H5Oopen", H5Oopen(file_.id(), name.c_str(), H5P_DEFAULT)), close_object);
      const H5I_type_t type = H5Iget_type(object.id());
      kind = type == H5I_DATASET ? Kind::dataset : type == H5I_GROUP ? Kind::group : Kind::other;
    }
    objects_.emplace("/" + name, kind);
  }
}

bool File::has_dataset(const std::string& path) const {
  const auto found = objects_.find(path);
  return found != objects_.end() && found->second == Kind::dataset;
}

std::vector<std::string> File::attributes(const std::string& object) const {
  const Subject call{fmt::format("{}: {}", name_, object)};
  const Handle handle(call("H5Oopen", H5Oopen(file_.id(), object.c_str(), H5P_DEFAULT)), close_object);
  std::vector<std::string> names;
  const auto visit = [](hid_t, const char* name, const H5A_info_t*, void* out) -> herr_t {
    static_cast<std::vector<std::string>*>(out)->emplace_back(name);
    return 0;
  };
  call("H5Aiterate2", H5Aiterate2(handle.id(), H5_INDEX_NAME, H5_ITER_INC, nullptr, visit, &names));
  return names;
}

bool File::has_attribute(const std::string& object, const std::string& name) const {
  const Subject call{fmt::format("{}: {}, attribute {}", name_, object, name)};
  return call("H5Aexists_by_name", H5Aexists_by_name(file_.id(), object.c_str(), name.c_str(), H5P_DEFAULT)) > 0;
}

namespace {

struct Opened {
  Handle object, type, space;
  Info info;
};

Opened open_dataset(const Subject& call, hid_t file, const std::string& path, std::uint64_t file_size) {
  Opened o;
  o.object = Handle(call("H5Dopen2", H5Dopen2(file, path.c_str(), H5P_DEFAULT)), close_dataset);
  check_storage(call, o.object.id());
  o.type = Handle(call("H5Dget_type", H5Dget_type(o.object.id())), close_type);
  o.space = Handle(call("H5Dget_space", H5Dget_space(o.object.id())), close_space);
  o.info = make_info(call, o.type.id(), o.space.id(), file_size);
  return o;
}

Opened open_attribute(const Subject& call, hid_t file, const std::string& object, const std::string& name,
                      std::uint64_t size) {
  Opened o;
  o.object =
      Handle(call("H5Aopen_by_name", H5Aopen_by_name(file, object.c_str(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT)),
             close_attribute);
  o.type = Handle(call("H5Aget_type", H5Aget_type(o.object.id())), close_type);
  o.space = Handle(call("H5Aget_space", H5Aget_space(o.object.id())), close_space);
  o.info = make_info(call, o.type.id(), o.space.id(), size);
  return o;
}

/// The type to read into: ours for numbers; for strings the file's own, so that nothing is converted.
Handle memory_type(const Subject& call, const Opened& o) {
  if (o.info.type != Type::string) return make_type(call, o.info.type, o.info.element_size);
  return {call("H5Tcopy", H5Tcopy(o.type.id())), close_type};
}

Values empty_values(const Info& info) {
  Values values{info.type, info.element_size, info.shape, {}};
  values.bytes.resize(values.count() * values.element_size);
  return values;
}

}  // namespace

Info File::dataset_info(const std::string& path) const {
  return open_dataset(Subject{fmt::format("{}: {}", name_, path)}, file_.id(), path, size_).info;
}

Info File::attribute_info(const std::string& object, const std::string& name) const {
  return open_attribute(Subject{fmt::format("{}: {}, attribute {}", name_, object, name)}, file_.id(), object, name,
                        size_)
      .info;
}

Values File::read_dataset(const std::string& path) const {
  const Subject call{fmt::format("{}: {}", name_, path)};
  if (!has_dataset(path)) fail("{}: expected a dataset of this name", call.name);
  const Opened o = open_dataset(call, file_.id(), path, size_);
  check_filters(call, o.object.id());
  Values values = empty_values(o.info);
  const Handle type = memory_type(call, o);
  if (!values.bytes.empty())
    call("H5Dread", H5Dread(o.object.id(), type.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.bytes.data()));
  return values;
}

Values File::read_attribute(const std::string& object, const std::string& name) const {
  const Subject call{fmt::format("{}: {}, attribute {}", name_, object, name)};
  if (!has_attribute(object, name)) fail("{}: expected an attribute of this name", call.name);
  const Opened o = open_attribute(call, file_.id(), object, name, size_);
  Values values = empty_values(o.info);
  const Handle type = memory_type(call, o);
  if (!values.bytes.empty()) call("H5Aread", H5Aread(o.object.id(), type.id(), values.bytes.data()));
  return values;
}

}  // namespace triseg::hdf5
