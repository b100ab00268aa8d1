// Starting work on every rank alike.
#pragma once

#include "runner/transport.hpp"

#include <functional>
#include <string>

namespace triseg {

/// Calls `work` on every rank. If it throws anywhere, all ranks throw: rank 0 the first rank's message, so that one line
/// is printed and none waits for another.
void agree(Transport& transport, const std::function<void()>& work);

/// Throws Error, on every rank, unless all ranks pass the same text of at most 255 bytes: "rank R: MESSAGE".
void agree_on(Transport& transport, const std::string& text, const std::string& message);

/// threads if positive; else the cores that this process may use, at most an equal part of those of its host.
int scoring_threads(int threads, const Transport& transport);

}  // namespace triseg
