// What train and repair do after a stop signal.
#pragma once

#include <string>

namespace triseg {

/// Says how many of the epochs the checkpoint holds, with which the same command continues. Returns exit_resumable
/// (runner/ranks/signals.hpp).
int stopped_training(const std::string& checkpoint, int epochs);

}  // namespace triseg
