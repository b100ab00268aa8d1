// TOML files of options: keys with typed values, alone or in sections. The one place where a TOML library is used.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace triseg {

/// A key and its value.
struct TomlEntry {
  enum class Type { boolean, integer, real, text };

  std::string key;
  bool list = false;
  std::vector<Type> types;  ///< of the elements; of a value that is no list the only one
  std::vector<std::string>
      texts;     ///< the elements: "true", "42", "0.1" (the shortest that reads back), or the text itself
  int line = 0;  ///< of its document, from 1

  /// The elements, separated by commas.
  std::string joined() const;
  /// What it is, for messages: "the text 'a'", "a list of 3".
  std::string described() const;
};

/// The entries of a TOML document, in the order of its lines. `name` stands for it in messages; `line` says what one
/// looks like
/// ("key = value"). Throws Error naming the place for anything that is not TOML, repeated keys included, for a table,
/// for a value that is no boolean, finite number, text without NUL, or list of these, and for what is nested deeper
/// than a reader can stand.
std::vector<TomlEntry> parse_toml(const std::string& document, const std::string& name, std::string_view line);

/// The same of the file that `option` names. Throws Error naming option and file, also if it cannot be read.
std::vector<TomlEntry> read_toml(std::string_view option, const std::string& path, std::string_view line);

/// The entries of [name], or of one [[name]]; of those before any section, whose name is empty. Tables in a list,
/// name = [{a = 1}, {a = 2}], are the same as [[name]] twice.
struct TomlSection {
  std::string name;
  bool repeated = false;  ///< [[name]], of which there may be several
  std::vector<TomlEntry> entries;
  int line = 0;  ///< where it begins, from 1; 0 for the one without a name
};

/// The same of a document with sections one deep, in the order of their lines, the one without a name first. The
/// entries of a table that is a value, key = {a = 1}, have the keys "key.a". Throws Error likewise.
std::vector<TomlSection> parse_toml_sections(const std::string& document, const std::string& name);

/// The same of the file that `option` names. Throws Error naming option and file, also if it cannot be read.
std::vector<TomlSection> read_toml_sections(std::string_view option, const std::string& path);

/// A text as a TOML string, in quotes, that reads back the same. The text is UTF-8.
std::string toml_string(std::string_view text);

}  // namespace triseg
