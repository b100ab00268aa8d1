// What the start of a search costs, part by part, in one process: each part once, in the order of a search, since the
// second time is another thing.
//
// usage: triseg_bench_start
#include "runner/model_lookup.hpp"
#include "worker/cuda/devices.hpp"
#include "worker/engines/engines.hpp"
#ifdef TRISEG_HAVE_CUDA
#include "worker/cuda/cuda_engine.hpp"
#endif

#include <chrono>
#include <cstdio>

namespace triseg {
namespace {

template <class Part>
auto timed(const char* name, const Part& part) {
  const auto start = std::chrono::steady_clock::now();
  auto result = part();
  std::printf("| %s | %.3f |\n", name, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  std::fflush(stdout);
  return result;
}

int run() {
  std::printf("| part | s |\n|---|---|\n");
  timed("list of GPUs", [] { return devices(); });
  const EngineKind kind = timed("choice of the engine", [] { return resolve_engine(EngineKind::automatic); });
  const DataSet data = timed("images, read and hashed", [] { return load_data_set("fashion-mnist"); });
  timed("their hash alone", [&] { return content_sha256(data); });
  const ModelFile teacher = timed("teacher", [&] { return load_teacher("", "alexnet", std::nullopt, data); });
  const Problem problem = make_problem(teacher.network, "all", "default");
#ifdef TRISEG_HAVE_CUDA
  if (kind == EngineKind::cuda) timed("cuda engine without self-test", [&] { return make_cuda_engine(problem, 0); });
#endif
  timed("engine and self-test", [&] { return make_engine(kind, problem, 0); });
  return 0;
}

}  // namespace
}  // namespace triseg

int main() { return triseg::run(); }
