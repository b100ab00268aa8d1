#include "runner/ranks/ranks.hpp"

#include "core/error.hpp"
#include "runner/ranks/report_error.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace triseg {

void agree(Transport& transport, const std::function<void()>& work) {
  constexpr std::size_t length = 1024;
  std::vector<std::byte> mine(length);
  try {
    work();
  } catch (const std::exception& error) {
    const std::string message = message_of(error);
    std::memcpy(mine.data(), message.data(), std::min(message.size(), length - 1));
    if (message.empty()) mine[0] = std::byte{'?'};
  }
  const auto all = transport.gather(mine, std::vector<std::size_t>(transport.size(), length));
  std::vector<std::byte> verdict(length);
  for (std::size_t at = 0; at < all.size() && verdict[0] == std::byte{0}; at += length)
    std::copy_n(all.begin() + static_cast<std::ptrdiff_t>(at), length, verdict.begin());
  transport.broadcast(verdict);
  if (verdict[0] != std::byte{0}) throw SharedError(reinterpret_cast<const char*>(verdict.data()));
}

int together(Transport& transport, const std::function<int()>& work) {
  try {
    return work();
  } catch (const SharedError&) {
    throw;
  } catch (const std::exception& error) {
    if (transport.size() == 1) throw;
    report_error(fmt::format("rank {}: {}", transport.rank(), message_of(error)));
    transport.abort(1);
  }
  return 1;
}

void agree_on(Transport& transport, const std::string& text, const std::string& message) {
  constexpr std::size_t length = 256;
  std::vector<std::byte> mine(length);
  std::memcpy(mine.data(), text.data(), std::min(text.size(), length - 1));
  const auto all = transport.gather(mine, std::vector<std::size_t>(transport.size(), length));
  agree(transport, [&] {
    for (std::size_t at = 0; at < all.size(); at += length)
      if (!std::equal(mine.begin(), mine.end(), all.begin() + static_cast<std::ptrdiff_t>(at)))
        fail("rank {}: {}", at / length, message);
  });
}

int scoring_threads(int threads, const Transport& transport) {
  if (threads > 0) return threads;
  cpu_set_t mine;
  CPU_ZERO(&mine);
  const int allowed = sched_getaffinity(0, sizeof mine, &mine) == 0 ? CPU_COUNT(&mine) : 1;
  const int online = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  return std::max(1, std::min(allowed, online / transport.local_size()));
}

}  // namespace triseg
