#include "learner/files/model_file.hpp"

#include "core/atomic_file.hpp"
#include "core/hdf5/content_digest.hpp"
#include "core/hdf5/file_stamp.hpp"
#include "learner/files/stored_network.hpp"
#include "network/recipes.hpp"

#include <algorithm>

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

  template <class T>
  void rows(const std::string& path, std::vector<T>& values, std::uint64_t rows, std::uint64_t columns) {
    dataset(path, values, {rows, columns});
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
  /// An array whose second size is not known beforehand.
  template <class T>
  void rows(const std::string& path, std::vector<T>& values, std::uint64_t rows, std::uint64_t) {
    const std::vector<std::uint64_t> shape = file_.dataset_info(path).shape;
    if (shape.size() != 2) fail("{}: {}: expected two dimensions, found {}", name_, path, shape.size());
    dataset(path, values, {rows, shape[1]});
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

using Dims = std::vector<std::uint64_t>;

/// The description of the network.
template <class Archive>
void visit_network(Archive& a, Network& n) {
  a.attribute("/", "display_name", n.display_name);
  a.group("/network");
  a.attribute("/network", "input_channels", n.input.channels);
  a.attribute("/network", "input_height", n.input.height);
  a.attribute("/network", "input_width", n.input.width);
  a.attribute("/network", "classes", n.classes);
  a.strings("/network/all_sites", n.all_sites);
  a.strings("/network/default_attention", n.default_attention);
  a.group("/network/nodes");
  std::vector<std::string> names, operations;
  for (const Node& node : n.nodes) {
    names.push_back(node.name);
    operations.emplace_back(operation_name(node.operation));
  }
  a.strings("/network/nodes/name", names);
  a.strings("/network/nodes/operation", operations);
  if (operations.size() != names.size())
    fail("/network/nodes/operation: expected {} operations, found {}", names.size(), operations.size());
  n.nodes.resize(names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    n.nodes[i].name = names[i];
    n.nodes[i].operation = parse_operation(operations[i]);
  }
  InputColumns inputs = input_columns(n);
  a.rows("/network/nodes/inputs", inputs.values, n.nodes.size(), inputs.most);
  set_inputs(n, inputs.values);
  visit_node_columns([&](const char* name, const char*, auto access) {
    std::vector<std::int32_t> column;
    for (Node& node : n.nodes) column.push_back(access(node));
    a.dataset(fmt::format("/network/nodes/{}", name), column, {n.nodes.size()});
    for (std::size_t i = 0; i < column.size(); ++i) {
      access(n.nodes[i]) = column[i];
      if (access(n.nodes[i]) != column[i])
        fail("/network/nodes/{}: node {}: expected 0 or 1, found {}", name, n.nodes[i].name, column[i]);
    }
  });
}

/// The numbers of one node.
template <class Archive>
void visit_node(Archive& a, QuantizedNetwork& n, std::size_t i) {
  const Node& shape = n.network.nodes[i];
  QuantizedNode& node = n.nodes[i];
  const std::string group = "/nodes/" + shape.name;
  int index = int(i);
  a.group(group);
  a.attribute(group, "index", index);
  if (index != int(i)) fail("node {}: expected index {}, found {}", shape.name, i, index);
  a.attribute(group, "output_scale", node.output.scale);
  a.attribute(group, "output_zero_point", node.output.zero_point);
  a.attribute(group, "lowest", node.lowest);
  a.attribute(group, "highest", node.highest);
  const auto number = [](int x) { return static_cast<std::uint64_t>(x); };
  if (shape.operation == Operation::convolution) {
    const std::uint64_t out = number(shape.shape.channels);
    a.dataset(group + "/weights", node.weights,
              {out, number(n.network.input_shape(shape).channels / shape.groups), number(shape.window.height),
               number(shape.window.width)});
    a.dataset(group + "/weight_scale", node.weight_scale, {out});
    a.dataset(group + "/bias", node.requantization.bias, {out});
    a.dataset(group + "/multiplier", node.requantization.multiplier, {out});
  }
  if (shape.operation == Operation::table || shape.operation == Operation::concatenate) {
    std::vector<std::uint8_t> maps;
    for (const CodeMap& map : node.maps) maps.insert(maps.end(), map.begin(), map.end());
    int count = static_cast<int>(node.maps.size());
    a.attribute(group, "map_count", count);
    if (count < 0 || std::size_t(count) > shape.inputs.size())
      fail("node {}: expected as many maps as inputs, found {}", shape.name, count);
    a.dataset(group + "/maps", maps, {number(count), 256});
    node.maps.resize(maps.size() / 256);
    for (std::size_t k = 0; k < node.maps.size(); ++k)
      std::copy_n(maps.begin() + static_cast<std::ptrdiff_t>(256 * k), 256, node.maps[k].begin());
  }
  if (shape.operation == Operation::constant)
    a.dataset(group + "/codes", node.codes,
              {number(shape.shape.channels), number(shape.shape.height), number(shape.shape.width)});
}

/// The description of a network before version 4: a chain of layers.
std::vector<ChainLayer> read_chain(Reader& a, Network& n) {
  int side = 0;
  a.attribute("/", "display_name", n.display_name);
  a.attribute("/network", "input_channels", n.input.channels);
  a.attribute("/network", "input_side", side);
  a.attribute("/network", "classes", n.classes);
  n.input.height = n.input.width = side;
  a.strings("/network/default_attention", n.default_attention);
  std::vector<std::string> names, kinds;
  a.strings("/network/name", names);
  a.strings("/network/kind", kinds);
  std::vector<ChainLayer> layers = chain_layers(names, kinds);
  visit_chain_columns([&](const char* name, const char*, auto access) {
    std::vector<std::int32_t> column;
    a.dataset(fmt::format("/network/{}", name), column, {layers.size()});
    for (std::size_t i = 0; i < column.size(); ++i) layers[i].*access = column[i];
  });
  connect_chain(n, layers);
  return layers;
}

/// The numbers of the layers before version 4, and of the pools behind them. fully_connected: (convolutions), whether
/// the weights of each have two axes.
void read_layers(Reader& a, QuantizedNetwork& n, const std::vector<bool>& fully_connected) {
  std::size_t layer = 0;
  for (std::size_t i = 0; i < n.nodes.size(); ++i) {
    const Node& shape = n.network.nodes[i];
    QuantizedNode& node = n.nodes[i];
    if (shape.operation != Operation::convolution) {
      node.output = n.input_scale(i);
      continue;
    }
    const std::string group = "/layers/" + shape.name;
    const std::uint64_t out = shape.shape.channels, fan_in = n.network.fan_in(shape), kernel = shape.window.height;
    int index = 0;
    CodeScale input;
    a.attribute(group, "index", index);
    if (index != int(layer)) fail("layer {}: expected index {}, found {}", shape.name, layer, index);
    a.attribute(group, "input_scale", input.scale);
    a.attribute(group, "input_zero_point", input.zero_point);
    a.attribute(group, "output_scale", node.output.scale);
    a.attribute(group, "output_zero_point", node.output.zero_point);
    if (layer == 0) n.input = input;
    if (input != n.input_scale(i))
      fail("layer {}: its input scale differs from the output scale of the layer before", shape.name);
    a.dataset(group + "/weights", node.weights,
              fully_connected[layer] ? Dims{out, fan_in} : Dims{out, fan_in / (kernel * kernel), kernel, kernel});
    a.dataset(group + "/weight_scale", node.weight_scale, {out});
    a.dataset(group + "/bias", node.requantization.bias, {out});
    a.dataset(group + "/multiplier", node.requantization.multiplier, {out});
    ++layer;
  }
}

/// What a file says of how it came to be.
template <class Archive>
void visit_provenance(Archive& a, QuantizedNetwork& n, Provenance& p) {
  a.attribute("/", "data", n.data);
  if (a.version() >= 2) a.attribute("/", "data_sha256", n.data_sha256);
  a.attribute("/", "creator", p.creator);
  a.attribute("/", "creator_version", p.creator_version);
  a.attribute("/", "file_time", p.file_time);
  a.attribute("/", "command_line", p.command_line);
  a.attribute("/", "seed", p.seed);
  a.attribute("/", "epochs", p.epochs);
  a.attribute("/", "float_accuracy", p.float_accuracy);
  a.attribute("/", "int8_test_accuracy", p.int8_test_accuracy);
  const Dims inputs = {std::uint64_t(n.network.input.channels)};
  a.dataset("/normalization/mean", n.mean, inputs);
  a.dataset("/normalization/standard_deviation", n.standard_deviation, inputs);
}

/// The layout of a model file, for writing and reading alike.
template <class Archive>
void visit(Archive& a, ModelFile& m) {
  QuantizedNetwork& n = m.network;
  std::string scheme(scheme_name(n.scheme));
  a.attribute("/", "network", n.network.name);
  a.attribute("/", "backend", scheme);
  n.scheme = parse_scheme(scheme);
  visit_network(a, n.network);
  if constexpr (Archive::reading) {
    connect_stored(n.network);
    n.nodes.resize(n.network.nodes.size());
  }
  visit_provenance(a, n, m.provenance);
  a.attribute("/network", "input_scale", n.input.scale);
  a.attribute("/network", "input_zero_point", n.input.zero_point);
  for (std::size_t i = 0; i < n.nodes.size(); ++i) visit_node(a, n, i);
}

/// The layout of versions 1 to 3.
void read_old(Reader& a, ModelFile& m) {
  QuantizedNetwork& n = m.network;
  std::string scheme;
  a.attribute("/", "network", n.network.name);
  a.attribute("/", "backend", scheme);
  std::vector<bool> fully_connected;
  if (a.version() == 3) {
    for (const ChainLayer& layer : read_chain(a, n.network)) fully_connected.push_back(layer.fully_connected);
  } else {
    n.network = make_recipe(n.network.name).network;
    for (const Node& node : n.network.nodes)
      if (node.operation == Operation::convolution) fully_connected.push_back(n.network.fully_connected(node));
  }
  n.scheme = parse_scheme(scheme);
  n.nodes.resize(n.network.nodes.size());
  visit_provenance(a, n, m.provenance);
  read_layers(a, n, fully_connected);
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
    reader.version() < 4 ? read_old(reader, model) : visit(reader, model);
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
