// The one line that a failure prints.
#pragma once

#include <exception>
#include <string>
#include <string_view>

namespace triseg {

/// What an exception says, with a subject where the library that threw it names none: "PATH: File name too long", "out of memory: ...".
std::string message_of(const std::exception& error);

/// "triseg: error: MESSAGE" on stderr, line breaks in the message turned into blanks.
void report_error(std::string_view message);

/// The same for a failure that all ranks share: those other than 0 stay silent.
void report_shared_error(std::string_view message);

}  // namespace triseg
