#include "runner/ranks/signals.hpp"

#include <csignal>

namespace triseg {
namespace {

volatile std::sig_atomic_t received = 0;

void remember(int) { received = 1; }

}  // namespace

void catch_stop_signals() {
  struct sigaction action {};
  action.sa_handler = remember;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGUSR2, &action, nullptr);
  action.sa_flags |= SA_RESETHAND;
  sigaction(SIGINT, &action, nullptr);
}

bool stop_signal_received() { return received != 0; }

}  // namespace triseg
