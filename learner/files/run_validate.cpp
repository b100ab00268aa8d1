#include "learner/files/run_content.hpp"
#include "learner/files/run_file.hpp"
#include "learner/files/run_layout.hpp"

#include <cmath>
#include <set>
#include <string>
#include <string_view>

namespace triseg {
namespace {

void check_labels(const hdf5::File& file, const Field& field, Violations& report) {
  if (field.is_attribute()) return;
  const bool current = run_version(file) == run_schema_version;  // older files say the same in other words
  std::vector<std::string> found = file.attributes(field.path);
  for (const auto& [name, value] : label_attributes(field)) {
    std::erase(found, name);
    if (!current && name == "long_name") continue;
    if (!file.has_attribute(field.path, name) || !(file.read_attribute(field.path, name) == value))
      report.add(field.path, fmt::format("expected the attribute {} = {}", name,
                                         value.type == Type::string ? '"' + value.string() + '"' : "1 (u8)"));
  }
  for (const std::string& name : found) report.add(field.path, fmt::format("unexpected attribute {}", name));
}

void check_nothing_else(const hdf5::File& file, bool finished, Violations& report) {
  const int version = run_version(file);
  std::set<std::string> known, known_attributes;
  for (const Group& group : run_groups(version))
    if (finished || group.path != selected_group) known.insert(group.path);
  for (const Field& field : run_fields(version)) {
    if (field.is_attribute()) known_attributes.insert(field.attribute_name());
    else if (finished || !field.finished_only) known.insert(field.path);
  }
  for (const Group& group : run_groups(version)) {
    const bool there = group.path == "/" || file.objects().contains(group.path);
    if (known.contains(group.path) && !there) report.add(group.path, "missing: expected a group");
    if (group.path == "/" || !there) continue;
    for (const std::string& name : file.attributes(group.path)) report.add(group.path, "unexpected attribute " + name);
  }
  for (const auto& [path, kind] : file.objects()) {
    const bool tensor = path.starts_with(std::string(tensor_group) + "/") && kind != hdf5::File::Kind::other;
    if (!tensor && !known.contains(path)) report.add(path, "unexpected: the schema has nothing of this name here");
  }
  for (const std::string& name : file.attributes("/"))
    if (!known_attributes.contains(name)) report.add("/@" + name, "unexpected: the schema has no such attribute");
}

/// padded: rows may end in NaN; that they have as many numbers as images make is a matter of the content.
void check_values(const std::string& path, const Values& values, bool padded, Violations& report) {
  if (values.type == Type::f64 && !padded) check_finite(path, values.as<double>(), report);
  if (values.type == Type::f32) check_finite(path, values.as<float>(), report);
}

/// Derived values are computed again; the last bits may differ, as other compilers contract other operations.
void check_derived(const hdf5::File& file, const RunData& run, Violations& report) {
  const int version = run_version(file);
  for (const Field& field : run_fields(version)) {
    if (field.role != Field::Role::derived || version < field.derived_since || (field.finished_only && !run.finished))
      continue;
    const Values expected = field.get(run), found = read_field(file, field);
    const auto bad = [&](std::size_t i) {
      report.add(field.path, fmt::format("element {} is not what the stored fields make it", i));
    };
    if (field.type == Type::f64) {
      const std::span<const double> x = found.as<double>(), y = expected.as<double>();
      for (std::size_t i = 0; i < x.size(); ++i)
        if (!(std::abs(x[i] - y[i]) <= 1e-9 * (1 + std::abs(y[i])))) bad(i);
    } else {
      for (std::size_t i = 0; i < found.bytes.size(); ++i)
        if (found.bytes[i] != expected.bytes[i]) bad(i / found.element_size);
    }
  }
}

}  // namespace

std::vector<std::string> validate_run(const std::filesystem::path& path) {
  Violations report;
  const hdf5::File file = open_run(path);
  std::vector<std::string> layout = layout_violations(file);
  if (!layout.empty()) return layout;

  const bool finished = is_finished(file);
  check_nothing_else(file, finished, report);
  // What an error says behind the names of the file and the field, which stand before it in the report.
  const auto said = [&](const Error& error, const std::string& where) {
    std::string_view text = error.what();
    for (const std::string& name : {path.string() + ": ", where + ": "})
      if (text.starts_with(name)) text.remove_prefix(name.size());
    return std::string(text);
  };
  const auto check_readable = [&](const std::string& where, bool padded, auto read) {
    try {
      check_values(where, read(), padded, report);
    } catch (const Error& error) {
      report.add(where, said(error, where));
    }
  };
  for (const Field& field : run_fields(run_version(file))) {
    if (field.finished_only && !finished) continue;
    check_labels(file, field, report);
    check_readable(field.path, field.padded, [&] { return read_field(file, field); });
  }
  for (const std::string& tensor : tensor_paths(file))
    check_readable(tensor, false, [&] { return file.read_dataset(tensor); });
  try {
    const RunData run = read_stored(file, path.string());
    check_content(run, report);
    if (report.empty()) check_derived(file, run, report);
  } catch (const Error& error) {
    report.add("/", said(error, "/"));
  }
  return report.take();
}

}  // namespace triseg
