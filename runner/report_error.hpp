// The one line that a failure prints.
#pragma once

#include <string_view>

namespace triseg {

/// "triseg: error: MESSAGE" on stderr, line breaks in the message turned into blanks. Ranks other than 0 stay silent: all
/// of them have failed in the same way.
void report_error(std::string_view message);

}  // namespace triseg
