#include "learner/files/run_schema.hpp"

#include "learner/files/run_fields.hpp"

#include <spdlog/fmt/ranges.h>

#include <algorithm>

namespace triseg {

std::vector<Group> run_groups(int version) {
  const std::vector<Group> all = {
      {"/", "Root attributes: what the run is"},
      {"/network", "The description of the network: what it takes and makes", 5},
      {"/network/nodes", "Its Y nodes, in an order in which each comes after its inputs, of which one has I at most",
       7},
      {"/sites", "The L sites, in network order"},
      {"/episodes", "The N episodes scored so far, in order"},
      {"/updates", "The U policy updates"},
      {"/evaluations",
       "The E evaluations of the policy's most probable codes while the search went on; those of several branches take "
       "turns"},
      {"/finalists",
       "Scores of the F finalists on the validation images so far, which are fewer for those that are out; "
       "F = 0 but while they are being scored"},
      {"/top",
       "The K best candidates scored on the validation split, or on its first images: by images, most first, then by "
       "reward, best first; K = 0 until the run is finished"},
      {"/pareto",
       "The P rows of /top that no other beats in coverage, KD, accuracy and energy together, of equal ones the first, "
       "among those scored on all images"},
      {"/selected", "The selected codes and their one report on the test split; only in finished runs"},
      {"/checkpoint", "What a resume needs beside the episodes"},
      {tensor_group, "Tensors of the policy and its optimizer: f32 of any shape, by name"},
  };
  std::vector<Group> groups;
  for (const Group& group : all)
    if (group.since <= version) groups.push_back(group);
  return groups;
}

namespace {

std::vector<Field> make_fields(int version) {
  std::vector<Field> all;
  add_root(all);
  add_network(all);
  add_sites(all);
  add_episodes(all);
  add_updates(all);
  add_evaluations(all);
  add_finalists(all);
  add_top(all);
  add_pareto(all);
  add_selected(all);
  add_checkpoint(all);
  std::erase_if(all, [&](const Field& f) { return f.since > version || f.until < version; });
  for (Field& f : all)
    if (version == 4 && !f.path_in_version_4.empty()) f.path = f.path_in_version_4;
  return all;
}

}  // namespace

const std::vector<Field>& run_fields(int version) {
  static const std::vector<std::vector<Field>> all = [] {
    std::vector<std::vector<Field>> fields;
    for (int each = oldest_run_schema_version; each <= run_schema_version; ++each) fields.push_back(make_fields(each));
    return fields;
  }();
  return all.at(static_cast<std::size_t>(version - oldest_run_schema_version));
}

std::string attributes_that_may_differ() {
  std::vector<std::string> names;
  for (const Field& f : run_fields())
    if (f.is_attribute() && f.may_differ) names.push_back(f.attribute_name());
  return fmt::format("{}", fmt::join(names, ","));
}

namespace {

/// A table cell: | would end it.
std::string cell(const std::string& text) {
  std::string result;
  for (const char c : text) (result += c == '|' ? "\\" : "") += c;
  return result;
}

}  // namespace

std::string run_schema_markdown() {
  std::string text;
  for (const Group& group : run_groups()) {
    text += fmt::format("### `{}`\n\n{}.\n\n", group.path, group.what);
    std::string rows;
    for (const Field& f : run_fields()) {
      const std::size_t slash = f.path.rfind('/');
      if (f.path.substr(0, std::max<std::size_t>(slash, 1)) != group.path) continue;
      const char* role = f.role == Field::Role::derived ? "derived" : f.role == Field::Role::file ? "file" : "stored";
      rows += fmt::format("| `{}` | {} | {} | {} | {}{} | {}{} |\n",
                          f.is_attribute() ? f.attribute_name() : f.path.substr(slash + 1), type_name(f.type),
                          f.dims.empty() ? "" : fmt::format("[{}]", fmt::join(f.dims, ",")), f.units, cell(f.long_name),
                          f.columns.empty() ? "" : fmt::format(" (columns {})", f.columns), role,
                          f.may_differ ? ", may differ" : "");
    }
    if (!rows.empty())
      text += "| name | type | shape | units | meaning | kind |\n|---|---|---|---|---|---|\n" + rows + "\n";
  }
  return text;
}

}  // namespace triseg
