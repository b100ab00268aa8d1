// Starting work on every rank alike.
#pragma once

#include "core/error.hpp"
#include "runner/ranks/transport.hpp"

#include <functional>
#include <string>

namespace triseg {

/// An error that all ranks know of: each may end in its own good order.
class SharedError : public Error {
 public:
  using Error::Error;
};

/// Calls `work` on every rank. If it throws anywhere, all ranks throw SharedError with the first such rank's message, so that one
/// line is printed and none waits for another.
void agree(Transport& transport, const std::function<void()>& work);

/// Returns what `work` does on this rank, if it ends in good order or by a SharedError. Any other failure is this rank's alone and
/// the others may wait for it in a collective call: it is reported, and all ranks are ended with exit code 1.
int together(Transport& transport, const std::function<int()>& work);

/// Throws SharedError, on every rank, unless all ranks pass the same text of at most 255 bytes: "rank R: MESSAGE".
void agree_on(Transport& transport, const std::string& text, const std::string& message);

/// threads if positive; else the cores that this process may use, at most an equal part of those of its host.
int scoring_threads(int threads, const Transport& transport);

}  // namespace triseg
