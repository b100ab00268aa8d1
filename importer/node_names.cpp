#include "importer/node_names.hpp"

#include "network/network.hpp"

#include <algorithm>
#include <cctype>
#include <vector>

namespace triseg {
namespace {

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts{""};
  for (const char c : text) {
    if (c == at) parts.emplace_back();
    else parts.back() += c;
  }
  return parts;
}

/// "Conv2D1" and "Conv_7" are "Conv" with what a tool has added.
bool repeats_operator(const std::string& part, const std::string& operation) {
  std::string bare = operation.starts_with("QLinear") ? operation.substr(7) : operation;
  if (bare.starts_with("Q") && bare.size() > 1 && std::isupper(static_cast<unsigned char>(bare[1]))) bare.erase(0, 1);
  for (const std::string& known : {bare, bare + "2D"}) {
    if (!part.starts_with(known)) continue;
    const std::string rest = part.substr(known.size());
    if (std::all_of(rest.begin(), rest.end(),
                    [](char c) { return c == '_' || std::isdigit(static_cast<unsigned char>(c)); }))
      return true;
  }
  return false;
}

}  // namespace

std::string node_name(const OnnxNode& node) {
  std::string text = node.name;
  for (const char* ending : {"_quant", "_QuantizeLinear", "_output_0"})
    if (text.ends_with(ending)) text.resize(text.size() - std::string(ending).size());
  // TensorFlow joins the names of what was fused, the main one last; variables are read by nodes of their own.
  const auto fused = split(text, ';');
  for (const std::string& part : fused)
    if (part.find("ReadVariableOp") == std::string::npos) text = part;
  std::vector<std::string> parts;
  for (const std::string& part : split(text, '/')) {
    if (part.empty() || part == "act_quant" || part == "export_handler") continue;  // Brevitas has them everywhere
    if (!parts.empty() && part.starts_with(parts.back() + ".")) parts.back() = part;
    else parts.push_back(part);
  }
  if (parts.size() > 1 && repeats_operator(parts.back(), node.operation)) parts.pop_back();
  if (parts.size() > 1 && parts.front() == "model") parts.erase(parts.begin());
  std::string name;
  for (const std::string& part : parts) name += (name.empty() ? "" : ".") + part;
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '-' && c != '_') c = '_';
  constexpr std::size_t longest = 80;
  if (name.size() > longest) name.erase(0, name.size() - longest);
  if (name.empty()) return node.operation;
  const auto words = selection_words();
  return std::find(words.begin(), words.end(), name) == words.end() ? name : name + "_";
}

std::string unique_name(const std::string& name, std::map<std::string, int>& taken) {
  int& wanted = taken[name];
  if (++wanted == 1) return name;
  std::string numbered = name + "_" + std::to_string(wanted);
  while (taken.contains(numbered)) numbered = name + "_" + std::to_string(++wanted);
  taken[numbered] = 1;
  return numbered;
}

}  // namespace triseg
