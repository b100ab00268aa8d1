// A few lines at the bottom of the terminal that are drawn anew in their place. On stderr; from any thread.
//
// The cursor rests at the beginning of the first of them. So whatever is printed next has only to clear what is below
// (core/terminal.hpp), and a window that is made narrower, which breaks lines, leaves nothing behind.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace triseg {

/// The lines that a live view has at most.
inline constexpr std::size_t live_view_lines = 4;

/// False where stderr is no terminal, or one of fewer than 40 columns or too few rows: lines are printed there instead.
/// It changes as the window does.
bool live_view_possible();

/// Draws the lines, of printable ASCII, in the place of those that stand there, cut to the terminal's width.
void show_live_view(std::vector<std::string> lines);

/// Clears it. Nothing happens where none stands.
void end_live_view();

/// Prints lines, with their line breaks, above the live view, or where none stands.
void print_above_live_view(std::string_view text);

}  // namespace triseg
