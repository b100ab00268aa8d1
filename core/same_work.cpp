#include "core/same_work.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

namespace triseg {
namespace {

std::string option_of(std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  return "--" + name;
}

std::string shown(const std::string& value) { return value.empty() ? "nothing" : value; }

}  // namespace

Work parse_work(std::string_view text) {
  constexpr std::string_view equals = " = ";
  Work work;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    const std::size_t at = line.find(equals);
    if (at != std::string_view::npos) work[std::string(line.substr(0, at))] = line.substr(at + equals.size());
    else if (!line.empty()) work[std::string(line)] = "";
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return work;
}

const std::map<std::string, WorkLabel>& digest_labels() {
  static const std::map<std::string, WorkLabel> labels = {{"data_sha256", {"--data", "other images or labels"}},
                                                          {"model_sha256", {"--teacher", "another model file"}},
                                                          {"recipe_sha256", {"--model", "another network"}},
                                                          {"result_sha256", {"the result", "another result file"}}};
  return labels;
}

std::string difference(const Work& stored, const Work& wanted, const std::map<std::string, WorkLabel>& labels) {
  Work names = stored;
  names.insert(wanted.begin(), wanted.end());
  std::string result;
  for (const auto& [name, value] : names) {
    const auto old = stored.find(name), now = wanted.find(name);
    if (old != stored.end() && now != wanted.end() && old->second == now->second) continue;
    const auto label = labels.find(name);
    const bool labelled = label != labels.end();
    const std::string how = now == wanted.end()   ? "of no effect in this version"
                            : old == stored.end() ? (labelled ? "no digest there" : "not recorded there")
                            : labelled            ? label->second.difference
                                       : fmt::format("{} instead of {}", shown(old->second), shown(now->second));
    result +=
        fmt::format("{}{} ({})", result.empty() ? "" : ", ", labelled ? label->second.option : option_of(name), how);
  }
  return result;
}

}  // namespace triseg
