#include "core/toml_file.hpp"

#include "core/atomic_file.hpp"
#include "core/error.hpp"

#define TOML_EXCEPTIONS 1
#define TOML_HEADER_ONLY 1
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

namespace triseg {
namespace {

std::string one_line(std::string_view text, std::size_t longest = 80) {
  std::string line(text);
  std::replace_if(
      line.begin(), line.end(), [](unsigned char c) { return c < 32 || c == 127; }, '?');
  return line.size() <= longest ? line : line.substr(0, longest) + "...";
}

/// Throws Error if a document is nested deeper than what options need by far: toml++ reads and frees it by recursion.
/// It looks at brackets, and at the parts of dotted keys, outside of texts and comments; what is wrong otherwise it
/// leaves to toml++.
void check_depth(std::string_view document, const std::string& name, std::string_view line_form) {
  constexpr std::size_t deepest = 64;
  std::size_t brackets = 0, dots = 0, line = 1;
  for (std::size_t i = 0; i < document.size(); ++i) {
    const char c = document[i];
    if (c == '"' || c == '\'') {
      const std::string_view thrice = c == '"' ? "\"\"\"" : "\'\'\'";
      const bool long_text = document.substr(i).starts_with(thrice);
      const std::string_view end = long_text ? thrice : thrice.substr(0, 1);
      for (i += end.size(); i < document.size() && !document.substr(i).starts_with(end); ++i) {
        if (document[i] == '\\' && c == '"' && i + 1 < document.size()) ++i;
        if (document[i] == '\n' && !long_text) break;
        line += document[i] == '\n';
      }
      if (i < document.size() && document[i] != '\n') i += end.size() - 1;
      else --i;
      continue;
    }
    if (c == '#') {
      i = std::min(document.find('\n', i), document.size()) - 1;
      continue;
    }
    if (c == '[' || c == '{') ++brackets;
    if ((c == ']' || c == '}') && brackets > 0) --brackets;
    if (c == '.') ++dots;
    if (c == '\n' || c == '=' || c == ',') dots = 0;
    if (brackets > deepest || dots > deepest)
      fail("{}: line {}: nested deeper than {}: expected lines {} alone, no sections and no dotted keys", name, line,
           deepest, line_form);
    line += c == '\n';
  }
}

/// Appends an element, or returns false for a kind of value that options do not have.
bool append(TomlEntry& entry, const toml::node& node) {
  using Type = TomlEntry::Type;
  if (const auto* text = node.as_string(); text && text->get().find('\0') == std::string::npos) {
    entry.types.push_back(Type::text);
    entry.texts.push_back(text->get());
  } else if (const auto* integer = node.as_integer()) {
    entry.types.push_back(Type::integer);
    entry.texts.push_back(fmt::format("{}", integer->get()));
  } else if (const auto* real = node.as_floating_point(); real && std::isfinite(real->get())) {
    entry.types.push_back(Type::real);
    entry.texts.push_back(fmt::format("{}", real->get()));
  } else if (const auto* boolean = node.as_boolean()) {
    entry.types.push_back(Type::boolean);
    entry.texts.push_back(boolean->get() ? "true" : "false");
  } else {
    return false;
  }
  return true;
}

}  // namespace

std::string TomlEntry::joined() const { return fmt::format("{}", fmt::join(texts, ",")); }

std::string TomlEntry::described() const {
  if (list) return fmt::format("a list of {}", texts.size());
  switch (types.front()) {
    case Type::text: return fmt::format("the text '{}'", one_line(texts.front()));
    case Type::boolean: return texts.front();
    default: return fmt::format("the number {}", texts.front());
  }
}

namespace {

toml::table parsed(const std::string& document, const std::string& name, std::string_view line) {
  check_depth(document, name, line);
  try {
    return toml::parse(std::string_view(document));
  } catch (const toml::parse_error& error) {
    fail("{}: line {}: cannot be read as TOML: {}", name, error.source().begin.line,
         one_line(error.description(), 200));
  }
}

std::uint64_t position(const toml::source_region& source) {
  return std::uint64_t{source.begin.line} << 32 | source.begin.column;
}

bool is_section(const toml::node& node) {
  const auto* table = node.as_table();
  return (table && !table->is_inline()) || (node.is_array() && node.as_array()->is_array_of_tables());
}

std::string place_of(const std::string& name, const std::string& key, const toml::node& node) {
  return fmt::format("{}: line {}: key '{}'", name, node.source().begin.line, one_line(key));
}

TomlEntry entry_of(const std::string& key, const toml::node& node, const std::string& place) {
  TomlEntry entry{key, node.is_array(), {}, {}, int(node.source().begin.line)};
  bool known = true;
  if (entry.list) {
    for (const toml::node& element : *node.as_array()) known = known && append(entry, element);
  } else {
    known = append(entry, node);
  }
  if (!known) fail("{}: expected a finite number, true, false, a text without NUL, or a list of them", place);
  return entry;
}

/// The entries of a table in the order of their lines, without its sections.
std::vector<TomlEntry> entries_of(const toml::table& table, const std::string& name, bool with_tables) {
  std::vector<std::pair<std::uint64_t, TomlEntry>> entries;
  for (const auto& [key, node] : table) {
    if (is_section(node)) continue;
    const std::string text(key.str()), place = place_of(name, text, node);
    if (const auto* inner = node.as_table()) {
      if (!with_tables || inner->empty())
        fail("{}: expected a value, found a table{}", place, inner->empty() ? " of nothing" : "");
      for (TomlEntry& entry : entries_of(*inner, name, false)) {
        entry.key = text + "." + entry.key;
        entries.emplace_back(position(key.source()), std::move(entry));
      }
    } else {
      entries.emplace_back(position(key.source()), entry_of(text, node, place));
    }
  }
  std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<TomlEntry> result;
  for (auto& [place, entry] : entries) result.push_back(std::move(entry));
  return result;
}

}  // namespace

std::vector<TomlEntry> parse_toml(const std::string& document, const std::string& name, std::string_view line) {
  const toml::table table = parsed(document, name, line);
  for (const auto& [key, node] : table)
    if (node.is_table() || is_section(node))
      fail("{}: expected lines {} alone, no sections and no dotted keys", place_of(name, std::string(key.str()), node),
           line);
  return entries_of(table, name, false);
}

std::vector<TomlSection> parse_toml_sections(const std::string& document, const std::string& name) {
  const toml::table table = parsed(document, name, "key = value");
  std::vector<std::pair<std::uint64_t, TomlSection>> sections;
  const auto add = [&](const std::string& title, bool repeated, const toml::table& content) {
    for (const auto& [key, node] : content)
      if (is_section(node))
        fail("{}: expected no section within the section '{}'", place_of(name, std::string(key.str()), node), title);
    sections.emplace_back(position(content.source()), TomlSection{title, repeated, entries_of(content, name, true),
                                                                  int(content.source().begin.line)});
  };
  for (const auto& [key, node] : table) {
    if (!is_section(node)) continue;
    const std::string title(key.str());
    if (const auto* one = node.as_table()) add(title, false, *one);
    else
      for (const toml::node& each : *node.as_array()) add(title, true, *each.as_table());
  }
  std::stable_sort(sections.begin(), sections.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<TomlSection> result{{"", false, entries_of(table, name, true), 0}};
  for (auto& [place, section] : sections) result.push_back(std::move(section));
  return result;
}

namespace {

std::string text_of(std::string_view option, const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) fail("{}: {}: expected a file, found a folder", option, path);
  if (!std::filesystem::exists(path, error)) fail("{}: {}: {}", option, path, error ? error.message() : "no such file");
  return read_text(path);
}

}  // namespace

std::vector<TomlEntry> read_toml(std::string_view option, const std::string& path, std::string_view line) {
  return parse_toml(text_of(option, path), fmt::format("{}: {}", option, path), line);
}

std::vector<TomlSection> read_toml_sections(std::string_view option, const std::string& path) {
  return parse_toml_sections(text_of(option, path), fmt::format("{}: {}", option, path));
}

std::string toml_string(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') (result += '\\') += c;
    else if (c == '\n') result += "\\n";
    else if (c == '\t') result += "\\t";
    else if (byte < 32 || byte == 127) result += fmt::format("\\u{:04X}", byte);
    else result += c;
  }
  return result + '"';
}

}  // namespace triseg
