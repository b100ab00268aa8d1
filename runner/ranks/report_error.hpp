// The one line that a failure prints.
#pragma once

#include <exception>
#include <string>
#include <string_view>

namespace triseg {

/// What an exception says, with a subject where the library that threw it names none: "PATH: File name too long", "out
/// of memory: ...". Of an exception that is no Error the first line.
std::string message_of(const std::exception& error);

/// "triseg: error: MESSAGE" on stderr: one line, its line breaks turned into blanks, other control characters spelled
/// out (core/text.hpp).
void report_error(std::string_view message);

/// The same unless this process leaves such errors to rank 0.
void report_shared_error(std::string_view message);

/// From now on this process is one of several ranks and not rank 0: what they all know, rank 0 says.
void leave_errors_to_rank_0();

/// False after leave_errors_to_rank_0. Safe to call from a signal handler.
bool speaks_for_all();

}  // namespace triseg
