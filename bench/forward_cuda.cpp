// How close the cuda engine comes to what the card does at best, measured in the same process.
//
// int8 rate:  an 8192 x 8192 x 8192 product s8 x s8 -> s32 by cuBLAS on random data.
// copy rate:  device memory, bytes read plus bytes written.
// forward:    students with different codes on the same images, as the search runs them, results on the host.
//             The first layer is computed once for all of them and counted as if for each: it is their work.
// scored:     the same and the teacher, of which only scores come to the host.
// Shares are of the int8 rate (multiply-accumulates of the students' forwards) and of the copy rate (bytes that every
// layer reads and writes at least: its input and output codes, its weights once).
//
// usage: triseg_bench_forward_cuda [seconds a measurement [network, at 64 x 32 alone, with the time of every step]]
#include "core/error.hpp"
#include "network/recipes.hpp"
#include "tests/worker/random_network.hpp"
#include "worker/cuda/cuda_engine.hpp"
#include "worker/cuda/cuda_memory.hpp"
#include "worker/engines/engines.hpp"
#include "worker/schedule.hpp"

#include <cublas_v2.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace triseg {
namespace {

double seconds_per_measurement = 1.0;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// Median seconds of a call that waits for the device.
template <class F>
double median_seconds(const F& f) {
  for (int i = 0; i < 3; ++i) f();
  std::vector<double> seconds;
  for (const double start = now(); now() - start < seconds_per_measurement || seconds.size() < 5;) {
    const double before = now();
    f();
    seconds.push_back(now() - before);
  }
  std::nth_element(seconds.begin(), seconds.begin() + seconds.size() / 2, seconds.end());
  return seconds[seconds.size() / 2];
}

void wait() { check_cuda(cudaDeviceSynchronize(), "execution"); }

double int8_operations_per_second() {
  constexpr int n = 8192;
  const auto codes = testing::random_codes(std::size_t(n) * n, 3);
  const auto a = on_device(std::span<const std::uint8_t>(codes)), b = on_device(std::span<const std::uint8_t>(codes));
  DeviceArray<std::int32_t> c;
  c.reserve(std::size_t(n) * n);
  cublasHandle_t handle = nullptr;
  if (cublasCreate(&handle) != CUBLAS_STATUS_SUCCESS) fail("cuBLAS does not start");
  const std::int32_t one = 1, zero = 0;
  const double seconds = median_seconds([&] {
    for (int i = 0; i < 4; ++i)
      if (cublasGemmEx(handle, CUBLAS_OP_T, CUBLAS_OP_N, n, n, n, &one, a.data(), CUDA_R_8I, n, b.data(), CUDA_R_8I, n,
                       &zero, c.data(), CUDA_R_32I, n, CUBLAS_COMPUTE_32I,
                       CUBLAS_GEMM_DEFAULT) != CUBLAS_STATUS_SUCCESS)
        fail("cuBLAS has no int8 product");
    wait();
  });
  cublasDestroy(handle);
  return 4 * 2.0 * n * n * n / seconds;
}

double copied_bytes_per_second() {
  constexpr std::size_t bytes = std::size_t{4} << 30;
  DeviceArray<std::uint8_t> from, to;
  from.reserve(bytes);
  to.reserve(bytes);
  const double seconds = median_seconds([&] {
    check_cuda(cudaMemcpy(to.data(), from.data(), bytes, cudaMemcpyDeviceToDevice), "copy");
    wait();
  });
  return 2.0 * bytes / seconds;
}

/// Bytes that one call moves at least: weights, and the codes that each step reads and stores.
double bytes_of(const Problem& problem, double students, double images) {
  const Network& network = problem.network();
  double bytes = 0;
  const auto codes = [&](int value) { return students * images * network.shape(value).size(); };
  for (const Step& step : make_steps(problem)) {
    const Node& node = network.nodes[step.node];
    if (node.operation == Operation::convolution) bytes += double(node.shape.channels) * network.fan_in(node);
    bytes += codes(static_cast<int>(step.value()));
    for (const int input : node.inputs)
      if (input != image_value) bytes += codes(input);
  }
  return bytes;
}

/// Microseconds of every step, one after the other without a graph.
void print_steps(const Network& network, int images, int students) {
  const Problem problem = testing::random_problem(network, Scheme::fbgemm, 1);
  const auto engine = make_engine(EngineKind::cuda, problem);
  engine->load_images(testing::random_codes(std::size_t(images) * network.input.size(), 2), images);
  std::vector<Student> list;
  for (int s = 0; s < students; ++s) list.push_back(testing::random_student(problem, 100 + s));
  double sum = 0;
  for (const StepTime& step : time_steps(*engine, list, 21)) {
    std::printf("%-20s %8.1f\n", step.name.c_str(), step.seconds * 1e6);
    sum += step.seconds;
  }
  std::printf("%-20s %8.1f\n", "sum, microseconds", sum * 1e6);
}

/// last_third: only the last third of the sites are approximated.
void measure(const Network& network, int images, int students, double operations, double copied,
             bool last_third = false) {
  Problem problem = testing::random_problem(network, Scheme::fbgemm, 1);
  if (last_third) problem.sites.erase(problem.sites.begin(), problem.sites.end() - problem.sites.size() / 3);
  const auto engine = make_engine(EngineKind::cuda, problem);
  const auto codes = testing::random_codes(std::size_t(images) * network.input.size(), 2);
  engine->load_images(codes, images);
  std::vector<Student> list;
  for (int s = 0; s < students; ++s) list.push_back(testing::random_student(problem, 100 + s));
  std::vector<ForwardResult> results(students);
  const double seconds = median_seconds([&] { engine->forward(list, results); });
  const std::vector<std::uint16_t> labels(images);
  std::vector<Score> scores(students);
  const double scored = median_seconds([&] { engine->device_scoring()->score(list, labels, 4, scores, [] {}); });
  const double rate = double(images) * students / seconds;
  std::printf("| %s%s | %d x %d | %.3f | %.3f | %.0f | %.0f | %.2f | %.2f |\n", network.name.c_str(),
              last_third ? ", the last third of the sites" : "", students, images, seconds * 1e3, scored * 1e3, rate,
              rate * 2e-12 * network.macs(), rate * 2 * network.macs() / operations,
              bytes_of(problem, students, images) / seconds / copied);
  std::fflush(stdout);
}

}  // namespace
}  // namespace triseg

int main(int argc, char** argv) try {
  using namespace triseg;
  if (argc > 1) seconds_per_measurement = std::atof(argv[1]);
  if (argc > 2) {
    const Network network = make_recipe(argv[2]).network;
    measure(network, 32, 64, int8_operations_per_second(), copied_bytes_per_second());
    print_steps(network, 32, 64);
    return 0;
  }
  const double operations = int8_operations_per_second(), copied = copied_bytes_per_second();
  std::printf("int8 rate %.0f TOPS, copy rate %.2f TB/s\n\n", operations * 1e-12, copied * 1e-12);
  std::printf(
      "| network | students x images | ms | scored, ms | images/s | TOPS | of the int8 rate | of the copy rate "
      "|\n|---|---|---|---|---|---|---|---|\n");
  for (const auto& [images, students] : {std::pair(32, 1), {32, 8}, {32, 64}, {125, 33}, {128, 128}})
    measure(make_recipe("alexnet").network, images, students, operations, copied);
  for (const auto& [images, students] : {std::pair(32, 64), {128, 64}})
    measure(make_recipe("vgg16").network, images, students, operations, copied);
  for (const char* name : {"vgg19", "lenet5", "resnet8", "resnet20", "squeezenet", "mobilenetv1", "nin"})
    measure(make_recipe(name).network, 32, 64, operations, copied);
  for (const std::string& name : recipe_names()) measure(make_recipe(name).network, 32, 64, operations, copied, true);
} catch (const std::exception& error) {
  std::fprintf(stderr, "triseg_bench_forward_cuda: error: %s\n", error.what());
  return 1;
}
