// The engines by name, each self-tested against the reference before its first use.
#pragma once

#include "worker/engine.hpp"

#include <memory>
#include <span>
#include <string_view>
#include <utility>

namespace triseg {

/// What executes a network. automatic: the fastest engine that this build has and this machine can run.
enum class EngineKind { automatic, cuda, onednn, reference };

/// What --engine takes: "auto", then the engines that this build has, fastest first.
std::span<const std::pair<std::string_view, EngineKind>> engine_names();

/// What automatic stands for; another engine itself.
EngineKind resolve_engine(EngineKind kind);

/// Starts the GPU of an engine that runs on one, and waits for it: part of a second that can pass while other things
/// are read. What is wrong with it make_engine says.
void start_device(EngineKind kind, int device);

/// The engine, self-tested against the reference layer by layer on random codes. device: the GPU of an engine that runs
/// on one. Throws Error if this build lacks it, if its device is missing or if no exact way to run a layer is left.
/// `problem` must outlive the engine.
std::unique_ptr<Engine> make_engine(EngineKind kind, const Problem& problem, int device = 0);

/// The same for several threads: each call makes another engine. The self-test's side of the reference is computed
/// once, from this call on, beside the first engine's start.
EngineFactory engine_factory(EngineKind kind, const Problem& problem, int device = 0);

}  // namespace triseg
