// The engines by name, each self-tested against the reference before its first use.
#pragma once

#include "worker/engine.hpp"

#include <memory>
#include <string_view>
#include <vector>

namespace triseg {

/// What --engine takes, of what this build has, fastest first: "cuda", "onednn", "reference".
std::vector<std::string_view> engine_names();

/// The name that `name` stands for: "auto" is the fastest engine this build has and this machine can run.
/// Throws Error if the name is unknown.
std::string_view resolve_engine(std::string_view name);

/// The engine called `name`, as resolve_engine takes it, self-tested against the reference layer by layer on random codes.
/// device: the GPU of an engine that runs on one. Throws Error if the name is unknown, if its device is missing or if no
/// exact way to run a layer is left. `problem` must outlive the engine.
std::unique_ptr<Engine> make_engine(std::string_view name, const Problem& problem, int device = 0);

/// The same for several threads: each call makes another engine.
EngineFactory engine_factory(std::string name, const Problem& problem, int device = 0);

}  // namespace triseg
