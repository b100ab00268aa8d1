// SIGTERM, SIGUSR2 and SIGINT (Ctrl-C) ask a run to commit at the end of its iteration and to exit.
#pragma once

namespace triseg {

/// The exit code of a run that stopped on a signal after committing: the same command continues it.
inline constexpr int exit_resumable = 85;

/// From now on SIGTERM, SIGUSR2 and the first SIGINT only set the flag below; a second SIGINT ends the process.
void catch_stop_signals();

/// True once one of them has come.
bool stop_signal_received();

}  // namespace triseg
