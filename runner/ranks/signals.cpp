#include "runner/ranks/signals.hpp"

#include "core/terminal.hpp"
#include "runner/ranks/report_error.hpp"

#include <spdlog/fmt/fmt.h>

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <string>

namespace triseg {
namespace {

std::atomic<bool> received = false;  // the handler may run on any thread
static_assert(std::atomic<bool>::is_always_lock_free, "the handler uses it");
std::string notice;      // this and the next: written before the handler is there, then only read
std::string_view clear;  // takes a live view off the terminal

void write_out(std::string_view text) {
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

void remember(int number) {
  if (received.exchange(true)) {
    if (number != SIGINT) return;
    write_out(clear);
    std::signal(SIGINT, SIG_DFL);
    std::raise(SIGINT);  // comes once this handler has returned
    return;
  }
  if (!speaks_for_all()) return;
  const int before = errno;
  write_out(notice);
  errno = before;
}

}  // namespace

void catch_stop_signals(std::string_view unit) {
  clear = line_start();
  notice = fmt::format("{}triseg: stopping after this {}; Ctrl-C ends it at once\n", clear, unit);
  struct sigaction action {};
  action.sa_handler = remember;
  action.sa_flags = SA_RESTART;
  sigfillset(&action.sa_mask);  // one at a time
  for (const int number : {SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU, SIGINT}) {
    struct sigaction before {};
    sigaction(number, nullptr, &before);
    if (before.sa_handler != SIG_IGN) sigaction(number, &action, nullptr);
  }
}

bool stop_signal_received() { return received; }

}  // namespace triseg
