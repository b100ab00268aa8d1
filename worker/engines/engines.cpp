#include "worker/engines/engines.hpp"

#include "core/error.hpp"
#include "core/philox.hpp"
#include "worker/distillation.hpp"
#include "worker/reference_engine.hpp"
#ifdef TRISEG_HAVE_CUDA
#include "worker/cuda/cuda_engine.hpp"
#endif
#ifdef TRISEG_HAVE_ONEDNN
#include "worker/cpu/onednn_engine.hpp"
#endif

#include <array>
#include <utility>

namespace triseg {
namespace {

struct EngineEntry {
  EngineKind kind;
  bool (*runs_here)();
  std::unique_ptr<Engine> (*make)(const Problem&, int device);
};

bool always() { return true; }

/// Fastest first: automatic takes the first that runs here.
constexpr EngineEntry engines[] = {
#ifdef TRISEG_HAVE_CUDA
    {EngineKind::cuda, cuda_engine_runs_here,
     [](const Problem& problem, int device) { return make_cuda_engine(problem, device); }},
#endif
#ifdef TRISEG_HAVE_ONEDNN
    {EngineKind::onednn, always, [](const Problem& problem, int) { return make_onednn_engine(problem); }},
#endif
    {EngineKind::reference, always, [](const Problem& problem, int) { return make_reference_engine(problem); }},
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

struct Traced {
  std::vector<std::int32_t> accumulators;
  std::vector<std::uint8_t> codes;
};

std::vector<Traced> trace_layers(Engine& engine, const Student& student, std::size_t layers) {
  std::vector<Traced> all(layers);
  engine.trace(student, [&](const LayerTrace& t) {
    all[t.layer].accumulators.insert(all[t.layer].accumulators.end(), t.accumulators.begin(), t.accumulators.end());
    all[t.layer].codes.insert(all[t.layer].codes.end(), t.codes.begin(), t.codes.end());
  });
  return all;
}

/// One random image through every layer and through the whole engine, with staircases, compared with the reference.
void self_test(Engine& engine, const Problem& problem) {
  const Network& shape = problem.network();
  std::vector<std::uint8_t> image(shape.input_size());
  for (std::size_t i = 0; i < image.size(); ++i)
    image[i] = static_cast<std::uint8_t>(uniform_below(256, 0, Stream::self_test, i));
  const Student candidate = student(problem, std::vector<Codes>(problem.sites.size(), Codes{9, 18, 27, 45, 60}));
  const auto reference = make_reference_engine(problem);
  std::array<OwnedForwardResult, 2> results;
  std::array<std::vector<Traced>, 2> layers;
  for (int i = 0; i < 2; ++i) {
    Engine& each = i == 0 ? *reference : engine;
    each.load_images(image, 1);
    ForwardResult result;
    each.forward(std::span(&candidate, 1), std::span(&result, 1));
    results[i] = OwnedForwardResult(result);
    layers[i] = trace_layers(each, candidate, shape.layers.size());
  }
  for (std::size_t l = 0; l < shape.layers.size(); ++l)
    if (layers[0][l].accumulators != layers[1][l].accumulators || layers[0][l].codes != layers[1][l].codes)
      fail(
          "engine {}: its start-up self-test of layer {} gives other codes than the reference; --engine reference "
          "works",
          engine.name(), shape.layers[l].name);
  if (results[0] != results[1])
    fail("engine {}: its start-up self-test gives other codes than the reference; --engine reference works",
         engine.name());
  if (DeviceScoring* device = engine.device_scoring()) {
    const std::uint16_t label = 0;
    Score score;
    device->score(std::span(&candidate, 1), std::span(&label, 1), 2, std::span(&score, 1), [] {});
    const Student exact = teacher(problem);
    ForwardResult result;
    reference->forward(std::span(&exact, 1), std::span(&result, 1));
    if (TeacherTarget(problem.model, result, std::span(&label, 1), 2).score(results[0].view()) != score)
      fail("engine {}: its start-up self-test gives other scores than the reference; --engine reference works",
           engine.name());
  }
}

}  // namespace

std::span<const std::pair<std::string_view, EngineKind>> engine_names() { return names; }

EngineKind resolve_engine(EngineKind kind) { return find_engine(kind).kind; }

std::unique_ptr<Engine> make_engine(EngineKind kind, const Problem& problem, int device) {
  const EngineEntry& entry = find_engine(kind);
  auto engine = entry.make(problem, device);
  if (entry.kind != EngineKind::reference) self_test(*engine, problem);
  return engine;
}

EngineFactory engine_factory(EngineKind kind, const Problem& problem, int device) {
  return [kind, &problem, device] { return make_engine(kind, problem, device); };
}

}  // namespace triseg
