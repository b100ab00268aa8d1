// The engines by name, each self-tested against the reference before its first use.
#pragma once

#include "worker/engine.hpp"

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace triseg {

/// What executes a network. automatic: the fastest engine that this build has and this machine can run.
enum class EngineKind { automatic, cuda, onednn, reference };

/// What --engine takes: "auto", then the engines that this build has, fastest first.
std::span<const std::pair<std::string_view, EngineKind>> engine_names();

/// The engine that automatic tries first, whatever the network; another engine itself. Throws Error if this build lacks
/// it.
EngineKind resolve_engine(EngineKind kind);

/// The engine for a network.
struct EngineChoice {
  EngineKind kind = EngineKind::reference;
  /// A line each for faster engines of this machine that cannot run it: "engine cuda is passed over: node X: ...".
  std::vector<std::string> passed_over;
};
/// Of automatic the first engine that runs here and can run the whole network; else the engine itself, or an Error that
/// names it, the node and what it lacks.
EngineChoice choose_engine(EngineKind kind, const Problem& problem);

/// Starts the GPU of an engine that runs on one, and waits for it: part of a second that can pass while other things
/// are read. What is wrong with it make_engine says.
void start_device(EngineKind kind, int device);

/// The engine of choose_engine(), self-tested against the reference node by node on random codes. device: the GPU of an
/// engine that runs on one. Throws Error if this build lacks it, if it cannot run the network, if its device is missing
/// or if no exact way to run a node is left. `problem` must outlive the engine.
std::unique_ptr<Engine> make_engine(EngineKind kind, const Problem& problem, int device = 0);

/// The same for several threads: each call makes another engine. What the reference says of the self-test's image is
/// computed once, for the first engine.
EngineFactory engine_factory(EngineKind kind, const Problem& problem, int device = 0);

}  // namespace triseg
