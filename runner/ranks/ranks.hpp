// Starting work on every rank alike.
#pragma once

#include "core/error.hpp"
#include "runner/ranks/transport.hpp"

#include <exception>
#include <functional>
#include <string>
#include <vector>

namespace triseg {

/// An error that all ranks know of: each may end in its own good order.
class SharedError : public Error {
 public:
  using Error::Error;
};

/// Calls `work` on every rank. If it throws anywhere, all ranks throw SharedError with the first such rank's message,
/// so that one line is printed and none waits for another.
void agree(Transport& transport, const std::function<void()>& work);

/// What `work` throws, or null.
std::exception_ptr failure_of(const std::function<void()>& work);

/// Returns what `work` does on this rank, if it ends in good order or by a SharedError. Any other failure is this
/// rank's alone and the others may wait for it in a collective call: it is reported, and all ranks are ended with exit
/// code 1.
int together(Transport& transport, const std::function<int()>& work);

/// Throws SharedError, on every rank, unless all ranks pass the same text: "rank R: MESSAGE".
void agree_on(Transport& transport, const std::string& text, const std::string& message);

/// Throws SharedError, on every rank, unless all run the same build: "rank R runs another build of triseg (...)".
void agree_on_build(Transport& transport);

/// The texts of all ranks on rank 0, an empty vector on the others.
std::vector<std::string> gather_texts(Transport& transport, std::string_view mine);

/// Rank 0's text on every rank; the others' argument is ignored.
std::string broadcast_text(Transport& transport, std::string_view text);

/// threads if positive; else this rank's part of the cores of its host.
int scoring_threads(int threads, const Transport& transport);

}  // namespace triseg
