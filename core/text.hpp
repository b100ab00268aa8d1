// Text of unknown origin - paths, command lines, names of hosts - as files may hold it.
#pragma once

#include <string>
#include <string_view>

namespace triseg {

/// The text with every byte that is no part of a UTF-8 character spelled out as \xNN, so that nothing is lost; valid
/// text as it is. HDF5 attributes and JSON hold nothing else. A path that was changed by it leads nowhere: files are
/// opened by the path itself.
std::string valid_utf8(std::string_view text);

/// The beginning of a text that may be long, for a message.
std::string excerpt(const std::string& text);

}  // namespace triseg
