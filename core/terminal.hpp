// Standard error, where it is a terminal: its size, its colours, and what stands below the cursor.
#pragma once

#include <string>
#include <string_view>

namespace triseg {

/// True if standard error is a terminal that obeys escape codes: TERM names one, and not "dumb".
bool stderr_is_terminal();

struct TerminalSize {
  int columns = 80, rows = 24;
};

/// The size of the terminal at this moment; the default where it does not say.
TerminalSize terminal_size();

/// The numbers of ANSI's escape codes.
enum class Color { red = 31, yellow = 33 };

/// The text in a colour if standard error is a terminal and NO_COLOR is not set to anything (no-color.org); else the
/// text.
std::string colored(Color color, std::string_view text);

/// What a line for standard error begins with, so that it takes the place of a live view (runner/display/live_view.hpp)
/// if one stands there: on a terminal the escape code that clears all from the cursor's line on, else nothing. The text
/// lives for ever.
std::string_view line_start();

}  // namespace triseg
