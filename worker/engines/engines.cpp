#include "worker/engines/engines.hpp"

#include "core/error.hpp"
#include "worker/engines/self_test.hpp"
#include "worker/reference_engine.hpp"
#ifdef TRISEG_HAVE_CUDA
#include "worker/cuda/cuda_engine.hpp"
#endif
#ifdef TRISEG_HAVE_ONEDNN
#include "worker/cpu/onednn_engine.hpp"
#endif

#include <optional>
#include <utility>

namespace triseg {
namespace {

struct EngineEntry {
  EngineKind kind;
  std::string_view name;
  bool (*runs_here)();
  std::optional<std::string> (*refusal)(const Problem&);  // why it cannot run a network, if so
  std::unique_ptr<Engine> (*make)(const Problem&, int device);
};

bool always() { return true; }
[[maybe_unused]] std::optional<std::string> never(const Problem&) { return {}; }

/// Fastest first: automatic takes the first that runs here.
constexpr EngineEntry engines[] = {
#ifdef TRISEG_HAVE_CUDA
    {EngineKind::cuda, "cuda", cuda_engine_runs_here, cuda_engine_refusal,
     [](const Problem& problem, int device) { return make_cuda_engine(problem, device); }},
#endif
#ifdef TRISEG_HAVE_ONEDNN
    {EngineKind::onednn, "onednn", always, never,
     [](const Problem& problem, int) { return make_onednn_engine(problem); }},
#endif
    {EngineKind::reference, "reference", always, never,
     [](const Problem& problem, int) { return make_reference_engine(problem); }},
};

constexpr std::pair<std::string_view, EngineKind> names[] = {
    {"auto", EngineKind::automatic},
#ifdef TRISEG_HAVE_CUDA
    {"cuda", EngineKind::cuda},
#endif
#ifdef TRISEG_HAVE_ONEDNN
    {"onednn", EngineKind::onednn},
#endif
    {"reference", EngineKind::reference},
};

const EngineEntry& find_engine(EngineKind kind) {
  for (const auto& entry : engines)
    if (kind == entry.kind || (kind == EngineKind::automatic && entry.runs_here())) return entry;
  fail("this build lacks the engine that was asked for; --engine reference works");
}

}  // namespace

std::span<const std::pair<std::string_view, EngineKind>> engine_names() { return names; }

EngineKind resolve_engine(EngineKind kind) { return find_engine(kind).kind; }

void start_device(EngineKind kind, int device) {
#ifdef TRISEG_HAVE_CUDA
  if (resolve_engine(kind) == EngineKind::cuda) start_gpu(device);
#else
  static_cast<void>(kind), static_cast<void>(device);
#endif
}

EngineChoice choose_engine(EngineKind kind, const Problem& problem) {
  EngineChoice choice;
  for (const EngineEntry& entry : engines) {
    if (kind != entry.kind && (kind != EngineKind::automatic || !entry.runs_here())) continue;
    const auto why = entry.refusal(problem);
    if (why && kind != EngineKind::automatic) fail("engine {}: {}; --engine auto finds one that can", entry.name, *why);
    choice.kind = entry.kind;
    if (!why) return choice;
    choice.passed_over.push_back(fmt::format("engine {} is passed over: {}", entry.name, *why));
  }
  find_engine(kind);  // fails: this build lacks it
  return choice;
}

EngineFactory engine_factory(EngineKind kind, const Problem& problem, int device) {
  const EngineEntry& entry = find_engine(choose_engine(kind, problem).kind);
  const auto test = std::make_shared<SelfTest>(problem);
  return [&entry, &problem, device, test] {
    auto engine = entry.make(problem, device);
    if (entry.kind != EngineKind::reference) test->check(*engine);
    return engine;
  };
}

std::unique_ptr<Engine> make_engine(EngineKind kind, const Problem& problem, int device) {
  return engine_factory(kind, problem, device)();
}

}  // namespace triseg
