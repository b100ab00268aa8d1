#include "learner/files/model_file.hpp"

#include "core/atomic_file.hpp"
#include "core/hdf5/content_digest.hpp"
#include "core/hdf5/file_stamp.hpp"
#include "learner/files/network_columns.hpp"
#include "network/recipes.hpp"

namespace triseg {
namespace {

/// Writes what describe() visits.
class Writer {
 public:
  static constexpr bool reading = false;
  int version() const { return model_schema_version; }

  void attribute(const std::string& object, const std::string& name, std::string& value) {
    put_attribute(object, name, Values::string(value));
  }
  template <class T>
  void attribute(const std::string& object, const std::string& name, T& value) {
    put_attribute(object, name, Values::scalar<T>(value));
  }
  void group(const std::string& path) { file_.create_group(path); }
  void strings(const std::string& path, std::vector<std::string>& values) {
    const Values stored = Values::strings(values);
    digest_.add(path, stored);
    file_.write_dataset(path, stored);
  }
  template <class T>
  void dataset(const std::string& path, std::vector<T>& values, std::vector<std::uint64_t> shape) {
    const Values stored = Values::array<T>(values, std::move(shape));
    digest_.add(path, stored);
    file_.write_dataset(path, stored);
  }

  std::vector<std::byte> finish() {
    file_.write_attribute("/", "format", Values::string(model_format));
    file_.write_attribute("/", "schema_version", Values::scalar<std::int32_t>(model_schema_version));
    file_.write_attribute("/", content_digest_attribute, Values::string(digest_.hex()));
    return file_.close();
  }

 private:
  void put_attribute(const std::string& object, const std::string& name, const Values& value) {
    digest_.add(object + (object == "/" ? "@" : "/@") + name, value);
    file_.write_attribute(object, name, value);
  }

  hdf5::File file_ = hdf5::File::create();
  ContentDigest digest_;
};

/// Reads what describe() visits, and checks type and shape.
class Reader {
 public:
  static constexpr bool reading = true;
  int version() const { return version_; }

  Reader(std::span<const std::byte> bytes, const std::string& name)
      : file_(hdf5::File::open(bytes, name)),
        name_(name),
        version_(check_format(file_, name, "a model file", model_format, 1, model_schema_version)) {}

  void attribute(const std::string& object, const std::string& name, std::string& value) {
    value = get_attribute(object, name, Type::string).string();
  }
  template <class T>
  void attribute(const std::string& object, const std::string& name, T& value) {
    value = get_attribute(object, name, type_of<T>()).template get<T>();
  }
  void group(const std::string&) {}
  void strings(const std::string& path, std::vector<std::string>& values) {
    const Values stored = file_.read_dataset(path);
    if (stored.shape.size() != 1)
      fail("{}: {}: expected strings in a row, found {}", name_, path, describe(stored.type, stored.shape));
    expect(path, stored, Type::string, stored.shape);
    digest_.add(path, stored);
    values = stored.strings();
  }
  template <class T>
  void dataset(const std::string& path, std::vector<T>& values, std::vector<std::uint64_t> shape) {
    const Values stored = file_.read_dataset(path);
    expect(path, stored, type_of<T>(), shape);
    digest_.add(path, stored);
    values.assign(stored.as<T>().begin(), stored.as<T>().end());
  }

  void finish() {
    const Values stored = file_.read_attribute("/", content_digest_attribute);
    expect(fmt::format("attribute {}", content_digest_attribute), stored, Type::string, {});
    if (stored.string() != digest_.hex())
      fail("{}: its content does not have the digest of its attribute {}: it was damaged or edited", name_,
           content_digest_attribute);
  }

 private:
  Values get_attribute(const std::string& object, const std::string& name, Type type) {
    const Values stored = file_.read_attribute(object, name);
    const std::string path = object + (object == "/" ? "@" : "/@") + name;
    expect(path, stored, type, {});
    digest_.add(path, stored);
    return stored;
  }
  void expect(const std::string& path, const Values& found, Type type, const std::vector<std::uint64_t>& shape) const {
    if (found.type != type || found.shape != shape)
      fail("{}: {}: expected {}, found {}", name_, path, describe(type, shape), describe(found.type, found.shape));
  }

  hdf5::File file_;
  std::string name_;
  int version_;
  ContentDigest digest_;
};

/// The description of the network, since version 3.
template <class Archive>
void visit_network(Archive& a, Network& n) {
  a.attribute("/", "display_name", n.display_name);
  a.group("/network");
  a.attribute("/network", "input_channels", n.input_channels);
  a.attribute("/network", "input_side", n.input_side);
  a.attribute("/network", "classes", n.classes);
  a.strings("/network/default_attention", n.default_attention);
  std::vector<std::string> names, kinds;
  for (const Layer& layer : n.layers) {
    names.push_back(layer.name);
    kinds.emplace_back(kind_name(layer.kind));
  }
  a.strings("/network/name", names);
  a.strings("/network/kind", kinds);
  if (kinds.size() != names.size()) fail("/network/kind: expected {} kinds, found {}", names.size(), kinds.size());
  n.layers.resize(names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    n.layers[i].name = names[i];
    n.layers[i].kind = parse_kind(kinds[i]);
  }
  visit_layer_columns([&](const char* name, const char*, auto access) {
    std::vector<std::int32_t> column;
    for (const Layer& layer : n.layers) column.push_back(layer.*access);
    a.dataset(fmt::format("/network/{}", name), column, {n.layers.size()});
    for (std::size_t i = 0; i < column.size(); ++i) n.layers[i].*access = column[i];
  });
}

/// The layout of a model file, for writing and reading alike.
template <class Archive>
void visit(Archive& a, ModelFile& m) {
  QuantizedNetwork& n = m.network;
  std::string scheme(scheme_name(n.scheme));
  a.attribute("/", "network", n.network.name);
  a.attribute("/", "backend", scheme);
  if (a.version() >= 3) visit_network(a, n.network);
  if constexpr (Archive::reading) {
    if (a.version() < 3) n.network = make_recipe(n.network.name).network;
    connect(n.network);
    n.scheme = parse_scheme(scheme);
    n.layers.resize(n.network.layers.size());
  }
  a.attribute("/", "data", n.data);
  if (a.version() >= 2) a.attribute("/", "data_sha256", n.data_sha256);
  a.attribute("/", "creator", m.provenance.creator);
  a.attribute("/", "creator_version", m.provenance.creator_version);
  a.attribute("/", "file_time", m.provenance.file_time);
  a.attribute("/", "command_line", m.provenance.command_line);
  a.attribute("/", "seed", m.provenance.seed);
  a.attribute("/", "epochs", m.provenance.epochs);
  a.attribute("/", "float_accuracy", m.provenance.float_accuracy);
  a.attribute("/", "int8_test_accuracy", m.provenance.int8_test_accuracy);

  using Shape = std::vector<std::uint64_t>;
  const Shape inputs = {std::uint64_t(n.network.input_channels)};
  a.dataset("/normalization/mean", n.mean, inputs);
  a.dataset("/normalization/standard_deviation", n.standard_deviation, inputs);
  for (std::size_t i = 0; i < n.layers.size(); ++i) {
    const Layer& shape = n.network.layers[i];
    QuantizedLayer& layer = n.layers[i];
    const std::string group = "/layers/" + shape.name;
    const std::uint64_t out = shape.out_channels, fan_in = shape.fan_in(), kernel = shape.kernel;
    int index = int(i);
    a.group(group);
    a.attribute(group, "index", index);
    if (index != int(i)) fail("layer {}: expected index {}, found {}", shape.name, i, index);
    a.attribute(group, "input_scale", layer.input.scale);
    a.attribute(group, "input_zero_point", layer.input.zero_point);
    a.attribute(group, "output_scale", layer.output.scale);
    a.attribute(group, "output_zero_point", layer.output.zero_point);
    a.dataset(group + "/weights", layer.weights,
              shape.kind == LayerKind::convolution ? Shape{out, fan_in / (kernel * kernel), kernel, kernel}
                                                   : Shape{out, fan_in});
    a.dataset(group + "/weight_scale", layer.weight_scale, {out});
    a.dataset(group + "/bias", layer.requantization.bias, {out});
    a.dataset(group + "/multiplier", layer.requantization.multiplier, {out});
  }
}

}  // namespace

void save_model(const std::filesystem::path& path, const QuantizedNetwork& network, const Provenance& provenance) {
  std::vector<std::byte> bytes;
  try {
    check(network);
    ModelFile model{network, provenance, {}, {}};
    model.provenance.creator = creator_name;
    model.provenance.creator_version = creator_version();
    model.provenance.file_time = file_time();
    Writer writer;
    visit(writer, model);
    bytes = writer.finish();
  } catch (const Error& error) {
    fail("cannot write {}: {}", path.string(), error.what());
  }
  commit_file(path, bytes);
}

ModelFile load_model_file(const std::filesystem::path& path) {
  const std::vector<std::byte> bytes = read_file(path);
  ModelFile model;
  try {
    Reader reader(bytes, path.string());
    visit(reader, model);
    reader.finish();
    check(model.network);
  } catch (const Error& error) {
    const std::string_view what = error.what();
    if (what.starts_with(path.string() + ":")) throw;
    fail("{}: {}", path.string(), what);
  }
  model.sha256 = sha256_hex(bytes);
  model.path = path;
  return model;
}

QuantizedNetwork load_model(const std::filesystem::path& path) { return load_model_file(path).network; }

}  // namespace triseg
