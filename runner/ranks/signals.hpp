// Signals that ask a run to commit at its next checkpoint and to exit.
#pragma once

#include <string_view>

namespace triseg {

/// The exit code of a run that stopped on a signal after committing: the same command continues it.
inline constexpr int exit_resumable = 85;
/// Of commands that compare: what they compared is different.
inline constexpr int exit_different = 3;

/// From now on SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU and SIGINT (Ctrl-C) set the flag below, and the first of them
/// says at once on stderr that the process stops after this `unit`, "iteration"; ranks other than 0 say nothing. A
/// SIGINT that is not the first ends the process at once; further signals of the others change nothing, for batch
/// systems send them twice. A signal that the process was started to ignore, as nohup does with SIGHUP, stays ignored.
/// Called once, before threads are started.
void catch_stop_signals(std::string_view unit);

/// True once one of them has come.
bool stop_signal_received();

}  // namespace triseg
