#include "learner/files/run_file.hpp"

#include "core/atomic_file.hpp"
#include "core/hdf5/content_digest.hpp"
#include "core/hdf5/file_stamp.hpp"
#include "learner/files/run_content.hpp"
#include "learner/files/run_layout.hpp"
#include "learner/files/run_schema.hpp"
#include "learner/files/stored_network.hpp"
#include "network/recipes.hpp"

#include <type_traits>

namespace triseg {
namespace {

void check_tensor_name(const std::string& name) {
  std::size_t begin = 0;
  for (std::size_t end = 0; end != std::string::npos; begin = end + 1) {
    end = name.find('/', begin);
    const std::string part = name.substr(begin, end == std::string::npos ? end : end - begin);
    if (part.empty() || part == "." || part == "..")
      fail("checkpoint tensor '{}': expected a name with no empty part", name);
  }
}

void write_field(hdf5::File& file, const Field& field, const Values& values) {
  if (field.is_attribute()) return file.write_attribute("/", field.attribute_name(), values);
  file.write_dataset(field.path, values);
  for (const auto& [name, value] : label_attributes(field)) file.write_attribute(field.path, name, value);
}

Values file_field(const Field& field, const std::string& digest) {
  const std::string name = field.attribute_name();
  if (name == "format") return Values::string(run_format);
  if (name == "schema_version") return Values::scalar<std::int32_t>(run_schema_version);
  if (name == "creator") return Values::string(creator_name);
  if (name == "creator_version") return Values::string(creator_version());
  if (name == "file_time") return Values::string(file_time());
  if (name == "may_differ") return Values::string(attributes_that_may_differ());
  if (name == content_digest_attribute) return Values::string(digest);
  fail("no value for the attribute {}", name);
}

/// The network of a version before 7, a chain of layers.
void read_chain(Network& n, const hdf5::File& file) {
  std::vector<ChainLayer> layers =
      chain_layers(file.read_dataset("/network/name").strings(), file.read_dataset("/network/kind").strings());
  visit_chain_columns([&]<class T>(const char* name, const char*, T ChainLayer::*access) {
    const Values column = file.read_dataset(fmt::format("/network/{}", name));
    for (std::size_t i = 0; i < layers.size(); ++i)
      layers[i].*access = static_cast<T>(column.as<std::conditional_t<std::is_same_v<T, bool>, std::uint8_t, T>>()[i]);
  });
  connect_chain(n, layers);
}

/// Fills in of the network what the file does not say.
void complete_network(RunData& run, const hdf5::File& file, int version) {
  if (version >= 7) return connect_stored(run.network);
  if (version < 5) run.network = make_recipe(run.network.name).network;
  else read_chain(run.network, file);
  for (SiteData& site : run.sites)
    for (const Node& node : run.network.nodes)
      if (node.name == site.name) {  // a convolution over the whole plane is a fully connected layer since
        site.kind = kind_name(run.network, node);
        site.record_key = record_key(run.network, node);
      }
}

hdf5::File make_file(const RunData& run) {
  hdf5::File file = hdf5::File::create();
  ContentDigest digest;
  for (const Group& group : run_groups())
    if (group.path != "/" && (run.finished || group.path != selected_group)) file.create_group(group.path);
  for (const Field& field : run_fields()) {
    if (field.role == Field::Role::file || (field.finished_only && !run.finished)) continue;
    const Values values = field.get(run);
    if (field.role == Field::Role::stored) digest.add(field.path, values);
    write_field(file, field, values);
  }
  for (const auto& [name, tensor] : run.checkpoint.tensors) {
    check_tensor_name(name);
    const std::string path = fmt::format("{}/{}", tensor_group, name);
    const Values values = Values::array<float>(tensor.values, tensor.shape);
    digest.add(path, values);
    file.write_dataset(path, values);
  }
  const std::string hex = digest.hex();
  for (const Field& field : run_fields())
    if (field.role == Field::Role::file) write_field(file, field, file_field(field, hex));
  return file;
}

}  // namespace

void write_run(const std::filesystem::path& path, const RunData& run) {
  std::vector<std::byte> bytes;
  try {
    bytes = make_file(run).close();
  } catch (const Error& error) {
    fail("cannot write {}: {}", path.string(), error.what());
  }
  commit_file(path, bytes);
}

hdf5::File open_run(const std::filesystem::path& path) {
  hdf5::File file = hdf5::File::open(read_file(path), path.string());
  check_format(file, path.string(), "a run file", run_format, oldest_run_schema_version, run_schema_version);
  return file;
}

int run_version(const hdf5::File& file) { return file.read_attribute("/", "schema_version").get<std::int32_t>(); }

RunData read_stored(const hdf5::File& file, const std::string& name) {
  if (const auto violations = layout_violations(file); !violations.empty()) fail("{}: {}", name, violations.front());
  const int version = run_version(file);
  RunData run;
  ContentDigest digest;
  for (const Field& field : run_fields(version)) {
    if (field.role != Field::Role::stored || (field.finished_only && !run.finished)) continue;
    const Values values = read_field(file, field);
    digest.add(field.path, values);
    try {
      field.set(run, values);
    } catch (const Error& error) {
      fail("{}: {}: {}", name, field.path, error.what());
    }
  }
  for (const std::string& path : tensor_paths(file)) {
    const Values values = file.read_dataset(path);
    digest.add(path, values);
    const std::span<const float> floats = values.as<float>();
    std::string tensor = path.substr(std::string(tensor_group).size() + 1);
    if (version == 4 && tensor.starts_with("rung")) tensor.replace(0, 4, "branch");
    run.checkpoint.tensors[tensor] = {values.shape, {floats.begin(), floats.end()}};
  }
  if (digest.hex() != file.read_attribute("/", content_digest_attribute).string())
    fail("{}: its content does not have the digest of its attribute {}: it was damaged or edited", name,
         content_digest_attribute);
  try {
    complete_network(run, file, version);
  } catch (const Error& error) {
    fail("{}: {}", name, error.what());
  }
  return run;
}

RunProgress read_progress(const std::filesystem::path& path) {
  const hdf5::File file = open_run(path);
  RunProgress progress;
  progress.finished = file.read_attribute("/", "status").string() == "finished";
  progress.episodes_total = file.read_attribute("/", "episodes_total").get<std::uint64_t>();
  progress.model_sha256 = file.read_attribute("/", "model_sha256").string();
  progress.data_sha256 = file.read_attribute("/", "data_sha256").string();
  progress.config = file.read_attribute("/", "config").string();
  const auto rows = [&](const std::string& path) {
    const auto shape = file.dataset_info(path).shape;
    return shape.empty() ? 0 : shape.front();
  };
  progress.episodes = rows("/episodes/reward");
  const std::string images = "/finalists/images";
  if (rows(images) > 0) {
    const Values values = file.read_dataset(images);
    for (const std::uint64_t each : values.as<std::uint64_t>()) progress.finalist_images += each;
  }
  return progress;
}

bool is_finished_run(const std::filesystem::path& path) {
  std::error_code ignored;
  try {
    return std::filesystem::exists(path, ignored) && read_progress(path).finished;
  } catch (const Error&) {
    return false;
  }
}

RunData read_run(const std::filesystem::path& path) {
  RunData run = read_stored(open_run(path), path.string());
  Violations violations;
  check_content(run, violations);
  if (!violations.empty())
    fail("{}: {}; triseg validate lists all that is wrong", path.string(), violations.take().front());
  return run;
}

}  // namespace triseg
