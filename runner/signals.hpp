// SIGTERM and SIGUSR2 ask a run to commit at the end of its iteration and to exit.
#pragma once

namespace triseg {

/// The exit code of a run that stopped on a signal after committing: the same command continues it.
inline constexpr int exit_resumable = 85;

/// From now on SIGTERM and SIGUSR2 only set the flag below.
void catch_stop_signals();

/// True once SIGTERM or SIGUSR2 has come.
bool stop_signal_received();

}  // namespace triseg
