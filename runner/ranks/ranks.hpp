// Starting work on every rank alike.
#pragma once

#include "runner/ranks/mpi_session.hpp"
#include "runner/ranks/shared_error.hpp"
#include "runner/ranks/transport.hpp"

#include <exception>
#include <functional>
#include <string>
#include <vector>

namespace triseg {

/// Calls `work` on every rank. If it throws anywhere, all ranks throw SharedError with the first such rank's message,
/// so that one line is printed and none waits for another.
void agree(Transport& transport, const std::function<void()>& work);

/// What `work` throws, or null.
std::exception_ptr failure_of(const std::function<void()>& work);

/// Returns what `work` does on this rank, if it ends in good order or by a SharedError. Any other failure is this
/// rank's alone and the others may wait for it in a collective call: it is reported, and all ranks are ended with exit
/// code 1.
int together(Transport& transport, const std::function<int()>& work);
/// The same before there is a transport.
int together(MpiSession& session, const std::function<int()>& work);

/// Throws SharedError, on every rank, unless all ranks pass the same text: "rank R: MESSAGE".
void agree_on(Transport& transport, const std::string& text, const std::string& message);

/// The texts of all ranks on rank 0, an empty vector on the others.
std::vector<std::string> gather_texts(Transport& transport, std::string_view mine);

/// Rank 0's text on every rank; the others' argument is ignored.
std::string broadcast_text(Transport& transport, std::string_view text);

/// threads if positive; else this rank's part of the cores of its host.
int scoring_threads(int threads, const Transport& transport);

}  // namespace triseg
