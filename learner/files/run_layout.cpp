#include "learner/files/run_layout.hpp"

#include "core/hdf5/content_digest.hpp"

#include <charconv>
#include <map>

namespace triseg {
namespace {

hdf5::Info field_info(const hdf5::File& file, const Field& field) {
  return field.is_attribute() ? file.attribute_info("/", field.attribute_name()) : file.dataset_info(field.path);
}

/// Compares a shape with the symbolic one, binding symbols seen for the first time.
bool fits(const Field& field, const std::vector<std::uint64_t>& shape, std::map<std::string, std::uint64_t>& symbols) {
  if (shape.size() != field.dims.size()) return false;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const std::string& dim = field.dims[i];
    std::uint64_t number = 0;
    const bool is_number = std::from_chars(dim.data(), dim.data() + dim.size(), number).ec == std::errc{};
    if ((is_number ? number : symbols.emplace(dim, shape[i]).first->second) != shape[i]) return false;
  }
  return true;
}

std::string expected(const Field& field, const std::map<std::string, std::uint64_t>& symbols) {
  std::string text(type_name(field.type));
  if (field.dims.empty()) return text;
  text += fmt::format(" [{}]", fmt::join(field.dims, ","));
  for (const std::string& dim : field.dims)
    if (const auto known = symbols.find(dim); known != symbols.end())
      text += fmt::format(" with {} = {}", dim, known->second);
  return text;
}

}  // namespace

std::vector<std::pair<std::string, Values>> label_attributes(const Field& field) {
  std::vector<std::pair<std::string, Values>> labels;
  if (field.is_attribute()) return labels;
  if (!field.units.empty()) labels.emplace_back("units", Values::string(field.units));
  labels.emplace_back("long_name", Values::string(field.long_name));
  if (!field.columns.empty()) labels.emplace_back("columns", Values::string(field.columns));
  if (field.may_differ) labels.emplace_back("may_differ", Values::scalar<std::uint8_t>(1));
  return labels;
}

bool has_field(const hdf5::File& file, const Field& field) {
  return field.is_attribute() ? file.has_attribute("/", field.attribute_name()) : file.has_dataset(field.path);
}

Values read_field(const hdf5::File& file, const Field& field) {
  return field.is_attribute() ? file.read_attribute("/", field.attribute_name()) : file.read_dataset(field.path);
}

bool is_finished(const hdf5::File& file) {
  const Values status = file.read_attribute("/", "status");
  return status.type == Type::string && status.shape.empty() && status.string() == "finished";
}

std::vector<std::string> layout_violations(const hdf5::File& file) {
  std::vector<std::string> violations;
  std::map<std::string, std::uint64_t> symbols;
  const bool finished = file.has_attribute("/", "status") && is_finished(file);
  for (const Field& field : run_fields(run_version(file))) {
    if (field.finished_only && !finished) continue;
    if (!has_field(file, field)) {
      violations.push_back(fmt::format("{}: missing: expected {}", field.path, expected(field, symbols)));
      continue;
    }
    try {
      const hdf5::Info info = field_info(file, field);
      auto bound = symbols;
      if (info.type == field.type && fits(field, info.shape, bound)) symbols = std::move(bound);
      else
        violations.push_back(fmt::format("{}: expected {}, found {}", field.path, expected(field, symbols),
                                         describe(info.type, info.shape)));
    } catch (const Error& error) {
      violations.push_back(error.what());
    }
  }
  for (const std::string& path : tensor_paths(file)) {
    try {
      if (const hdf5::Info info = file.dataset_info(path); info.type != Type::f32)
        violations.push_back(fmt::format("{}: expected f32, found {}", path, describe(info.type, info.shape)));
    } catch (const Error& error) {
      violations.push_back(error.what());
    }
  }
  return violations;
}

std::vector<std::string> tensor_paths(const hdf5::File& file) {
  std::vector<std::string> paths;
  for (const auto& [path, kind] : file.objects())
    if (kind == hdf5::File::Kind::dataset && path.starts_with(std::string(tensor_group) + "/")) paths.push_back(path);
  return paths;
}

}  // namespace triseg
