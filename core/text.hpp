// Text of unknown origin - paths, command lines, names of hosts - as files may hold it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace triseg {

/// The text with every byte that is no part of a UTF-8 character spelled out as \xNN, so that nothing is lost; valid
/// text as it is. HDF5 attributes and JSON hold nothing else. A path that was changed by it leads nowhere: files are
/// opened by the path itself.
std::string valid_utf8(std::string_view text);

/// The text as a terminal can show it: control characters (U+0000 to U+001F, U+007F to U+009F), those that break a line
/// or turn the direction of writing (U+061C, U+200E, U+200F, U+2028 to U+202E, U+2066 to U+2069) and every byte that is
/// no part of a UTF-8 character are spelled out as \xNN, byte by byte.
std::string printable(std::string_view text);

/// The text as a cell of a CSV file (RFC 4180): in quotes, those in it doubled, if it holds a comma, a quote or the end
/// of a line.
std::string csv_cell(const std::string& text);

/// "1 rank", "2 ranks": a number of things whose plural ends in s.
std::string counted(std::uint64_t number, std::string_view thing);

/// The beginning of a text that may be long, for a message.
std::string excerpt(const std::string& text);

}  // namespace triseg
