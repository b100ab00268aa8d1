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

#include <future>
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

/// What the start-up self-test compares: one random image through every layer and through the whole engine, with
/// staircases, and its score, by the reference.
struct SelfTest {
  std::vector<std::uint8_t> image;
  Student candidate;
  std::vector<Traced> layers;
  OwnedForwardResult result;
  Score score;

  static constexpr std::uint16_t label = 0;
  static constexpr double temperature = 2;

  explicit SelfTest(const Problem& problem)
      : image(problem.network().input_size()),
        candidate(student(problem, std::vector<Codes>(problem.sites.size(), Codes{9, 18, 27, 45, 60}))) {
    for (std::size_t i = 0; i < image.size(); ++i)
      image[i] = static_cast<std::uint8_t>(uniform_below(256, 0, Stream::self_test, i));
    const auto forward = [&](const Student& student) {
      const auto engine = make_reference_engine(problem);
      engine->load_images(image, 1);
      ForwardResult result;
      engine->forward(std::span(&student, 1), std::span(&result, 1));
      return OwnedForwardResult(result);
    };
    // Plain loops take their time: side by side.
    auto exact = std::async(forward, teacher(problem)), approximated = std::async(forward, candidate);
    const auto engine = make_reference_engine(problem);
    engine->load_images(image, 1);
    layers = trace_layers(*engine, candidate, problem.network().layers.size());
    result = approximated.get();
    score = TeacherTarget(problem.model, exact.get().view(), std::span(&label, 1), temperature).score(result.view());
  }

  void check(Engine& engine, const Network& network) const {
    const auto differs = [&](std::string_view what) {
      fail("engine {}: its start-up self-test{} than the reference; --engine reference works", engine.name(), what);
    };
    engine.load_images(image, 1);
    const std::vector<Traced> traced = trace_layers(engine, candidate, network.layers.size());
    for (std::size_t l = 0; l < network.layers.size(); ++l)
      if (layers[l].accumulators != traced[l].accumulators || layers[l].codes != traced[l].codes)
        differs(fmt::format(" of layer {} gives other codes", network.layers[l].name));
    ForwardResult whole;
    engine.forward(std::span(&candidate, 1), std::span(&whole, 1));
    if (OwnedForwardResult(whole) != result) differs(" gives other codes");
    if (DeviceScoring* device = engine.device_scoring()) {
      Score scored;
      device->score(std::span(&candidate, 1), std::span(&label, 1), temperature, std::span(&scored, 1), [] {});
      if (scored != score) differs(" gives other scores");
    }
  }
};

using SharedSelfTest = std::shared_future<SelfTest>;

SharedSelfTest begin_self_test(const Problem& problem) {
  return std::async([&problem] { return SelfTest(problem); }).share();
}

std::unique_ptr<Engine> make_tested(const EngineEntry& entry, const Problem& problem, int device,
                                    const SharedSelfTest& test) {
  auto engine = entry.make(problem, device);
  if (test.valid()) test.get().check(*engine, problem.network());
  return engine;
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

EngineFactory engine_factory(EngineKind kind, const Problem& problem, int device) {
  const EngineEntry& entry = find_engine(kind);
  const SharedSelfTest test = entry.kind == EngineKind::reference ? SharedSelfTest{} : begin_self_test(problem);
  return [&entry, &problem, device, test] { return make_tested(entry, problem, device, test); };
}

std::unique_ptr<Engine> make_engine(EngineKind kind, const Problem& problem, int device) {
  return engine_factory(kind, problem, device)();
}

}  // namespace triseg
