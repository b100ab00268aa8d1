#include "learner/files/run_difference.hpp"

#include "learner/files/run_schema.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <optional>
#include <set>

namespace triseg {
namespace {

std::optional<std::string> difference(const std::string& path, const Values& a, const Values& b) {
  if (a == b) return std::nullopt;
  if (a.shape.empty() && a.type == Type::string && b.type == Type::string)
    return fmt::format("{}: {} and {}", path, a.string(), b.string());
  if (a.type != b.type || a.shape != b.shape || a.element_size != b.element_size)
    return fmt::format("{}: {} and {}", path, describe(a.type, a.shape), describe(b.type, b.shape));
  const std::size_t rows = a.shape.empty() ? 1 : a.shape.front(), size = a.bytes.size() / rows;
  std::size_t differ = 0, first = rows;
  for (std::size_t r = 0; r < rows; ++r) {
    if (std::equal(a.bytes.begin() + r * size, a.bytes.begin() + (r + 1) * size, b.bytes.begin() + r * size)) continue;
    first = std::min(first, r);
    ++differ;
  }
  return a.shape.empty() ? fmt::format("{}: another number", path)
                         : fmt::format("{}: {} of {} rows differ, the first is {}", path, differ, rows, first);
}

}  // namespace

std::vector<std::string> content_differences(const RunData& a, const RunData& b) {
  std::vector<std::string> lines;
  const auto compare = [&](const std::string& path, const Values& x, const Values& y) {
    if (auto line = difference(path, x, y)) lines.push_back(std::move(*line));
  };
  for (const Field& field : run_fields())
    if (field.role != Field::Role::file && !field.may_differ && (!field.finished_only || (a.finished && b.finished)))
      compare(field.path, field.get(a), field.get(b));
  std::set<std::string> tensors;
  for (const auto* run : {&a, &b})
    for (const auto& [name, tensor] : run->checkpoint.tensors) tensors.insert(name);
  for (const std::string& name : tensors) {
    const std::string path = fmt::format("{}/{}", tensor_group, name);
    const auto x = a.checkpoint.tensors.find(name), y = b.checkpoint.tensors.find(name);
    if (x == a.checkpoint.tensors.end() || y == b.checkpoint.tensors.end())
      lines.push_back(
          fmt::format("{}: only in the {} run", path, x == a.checkpoint.tensors.end() ? "second" : "first"));
    else
      compare(path, Values::array<float>(x->second.values, x->second.shape),
              Values::array<float>(y->second.values, y->second.shape));
  }
  return lines;
}

}  // namespace triseg
