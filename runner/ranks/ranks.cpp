#include "runner/ranks/ranks.hpp"

#include "core/error.hpp"
#include "runner/ranks/report_error.hpp"

namespace triseg {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// `ranks`: who has rank(), size() and abort().
template <class Ranks>
int run_together(Ranks& ranks, const std::function<int()>& work) {
  try {
    return work();
  } catch (const SharedError&) {
    throw;
  } catch (const std::exception& error) {
    if (ranks.size() > 1) {
      report_error(fmt::format("rank {}: {}", ranks.rank(), message_of(error)));
      ranks.abort(1);
    }
    throw;
  }
}

}  // namespace

std::vector<std::string> gather_texts(Transport& transport, std::string_view mine) {
  std::vector<std::string> texts;
  for (const auto& message : transport.gather(bytes_of(mine))) texts.push_back(text_of(message));
  return texts;
}

std::string broadcast_text(Transport& transport, std::string_view text) {
  const auto bytes = bytes_of(text);
  std::vector<std::byte> message(bytes.begin(), bytes.end());
  transport.broadcast(message);
  return text_of(message);
}

void agree(Transport& transport, const std::function<void()>& work) {
  std::string problem;
  try {
    work();
  } catch (const std::exception& error) {
    problem = message_of(error);
    if (problem.empty()) problem = "an error without a message";
  }
  std::string first;
  for (const std::string& theirs : gather_texts(transport, problem))
    if (first.empty()) first = theirs;
  const std::string verdict = broadcast_text(transport, first);
  if (!verdict.empty()) throw SharedError(verdict);
}

std::exception_ptr failure_of(const std::function<void()>& work) {
  try {
    work();
  } catch (...) {
    return std::current_exception();
  }
  return nullptr;
}

int together(Transport& transport, const std::function<int()>& work) { return run_together(transport, work); }

int together(MpiSession& session, const std::function<int()>& work) { return run_together(session, work); }

void agree_on(Transport& transport, const std::string& text, const std::string& message) {
  const auto all = gather_texts(transport, text);
  agree(transport, [&] {
    for (std::size_t r = 0; r < all.size(); ++r)
      if (all[r] != text) fail("rank {}: {}", r, message);
  });
}

int scoring_threads(int threads, const Transport& transport) { return threads > 0 ? threads : transport.threads(); }

}  // namespace triseg
