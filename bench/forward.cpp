// How close the CPU engine comes to oneDNN's bare int8 products, on one core.
//
// bare:     every convolution and inner product of the network, u8 x s8 -> s32, 32 images, and nothing else: no bias,
//           no requantization, no table, no pooling, no attention. `any` lets oneDNN choose the layouts.
// forward:  64 students with different codes on the same 32 images, as the search runs them. What
//           students share up to their first difference is computed once.
// unshared: the same, but every student has its own requantization of the first convolution, so that nothing is shared.
//
// Networks are recipes with random weights, or those of model files that the command line names.
//
// The counters are (student) images per second of CPU time, and their ratio to the best bare rate of the same process.
#include "core/error.hpp"
#include "learner/files/model_file.hpp"
#include "network/recipes.hpp"
#include "tests/worker/random_network.hpp"
#include "worker/cpu/onednn_engine.hpp"

#include <benchmark/benchmark.h>
#include <dnnl.hpp>
#include <omp.h>

#include <cstring>
#include <ctime>
#include <map>
#include <unordered_map>

namespace triseg {
namespace {

constexpr int images = 32;
constexpr int students = 64;

/// Of a recipe's name, with random weights, or of a model file's path.
const Problem& problem_of(const std::string& name) {
  static std::map<std::string, Problem> problems;
  const auto found = problems.find(name);
  if (found != problems.end()) return found->second;
  if (!name.ends_with(".h5"))
    return problems[name] = testing::random_problem(make_recipe(name).network, Scheme::fbgemm, 1);
  return problems[name] = make_problem(load_model(name));
}

class BareProducts {
 public:
  BareProducts(const Network& network, bool nhwc) {
    using dnnl::memory;
    using Tag = memory::format_tag;
    using Type = memory::data_type;
    const Tag tag = nhwc ? Tag::nhwc : Tag::any, flat = nhwc ? Tag::nc : Tag::any;
    for (const Node& node : network.nodes) {
      if (node.operation != Operation::convolution) continue;
      const Shape &in = network.input_shape(node), &out = node.shape;
      const Window& w = node.window;
      if (!network.fully_connected(node)) {
        const int g = node.groups;
        const memory::dims weights = g == 1 ? memory::dims{out.channels, in.channels, w.height, w.width}
                                            : memory::dims{g, out.channels / g, in.channels / g, w.height, w.width};
        const dnnl::convolution_forward::primitive_desc d = describe<dnnl::convolution_forward>(
            dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct,
            memory::desc({images, in.channels, in.height, in.width}, Type::u8, tag),
            memory::desc(weights, Type::s8, Tag::any),
            memory::desc({images, out.channels, out.height, out.width}, Type::s32, tag),
            memory::dims{w.stride_y, w.stride_x}, memory::dims{w.dilation_y - 1, w.dilation_x - 1},
            memory::dims{w.pad_top, w.pad_left}, memory::dims{w.pad_bottom, w.pad_right});
        add(d, dnnl::convolution_forward(d));
      } else {
        const dnnl::inner_product_forward::primitive_desc d = describe<dnnl::inner_product_forward>(
            dnnl::prop_kind::forward_inference, memory::desc({images, in.size()}, Type::u8, flat),
            memory::desc({out.channels, in.size()}, Type::s8, Tag::any),
            memory::desc({images, out.channels}, Type::s32, flat));
        add(d, dnnl::inner_product_forward(d));
      }
    }
  }

  void run() {
    for (auto& [primitive, arguments] : steps_) primitive.execute(stream_, arguments);
    stream_.wait();
  }

 private:
  template <class Forward, class... Args>
  typename Forward::primitive_desc describe(const Args&... args) {
#if DNNL_VERSION_MAJOR >= 3
    return typename Forward::primitive_desc(engine_, args...);
#else
    return typename Forward::primitive_desc(typename Forward::desc(args...), engine_);
#endif
  }

  template <class Description>
  void add(const Description& d, dnnl::primitive primitive) {
    std::unordered_map<int, dnnl::memory> arguments{{DNNL_ARG_SRC, dnnl::memory(d.src_desc(), engine_)},
                                                    {DNNL_ARG_WEIGHTS, dnnl::memory(d.weights_desc(), engine_)},
                                                    {DNNL_ARG_DST, dnnl::memory(d.dst_desc(), engine_)}};
    for (auto& [name, memory] : arguments) std::memset(memory.get_data_handle(), 1, memory.get_desc().get_size());
    steps_.emplace_back(std::move(primitive), std::move(arguments));
  }

  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  std::vector<std::pair<dnnl::primitive, std::unordered_map<int, dnnl::memory>>> steps_;
};

std::map<std::string, double> bare_rate;  // of each network, images/s; the faster layout

void report(benchmark::State& state, const std::string& network, double images_done, double seconds, bool bare) {
  const double rate = images_done / seconds;
  if (bare) bare_rate[network] = std::max(bare_rate[network], rate);
  state.counters["images/s"] = rate;
  state.counters["GMAC/s"] = rate * problem_of(network).network().macs() * 1e-9;
  state.counters["of_bare"] = rate / bare_rate[network];
}

double thread_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/// The CPU time of the repetitions: other programs on the core count less than in wall-clock time.
template <class F>
double time(benchmark::State& state, F&& f) {
  const double start = thread_seconds();
  for (auto _ : state) f();
  return thread_seconds() - start;
}

void bare(benchmark::State& state, const std::string& name, bool nhwc) {
  BareProducts products(problem_of(name).network(), nhwc);
  products.run();
  const double seconds = time(state, [&] { products.run(); });
  report(state, name, double(images) * state.iterations(), seconds, true);
}

void forward(benchmark::State& state, const std::string& name, bool shared) {
  const Problem& problem = problem_of(name);
  const auto engine = make_onednn_engine(problem);
  engine->load_images(testing::random_codes(std::size_t(images) * problem.network().input.size(), 2), images);
  std::vector<Student> list;
  for (int s = 0; s < students; ++s) {
    list.push_back(testing::random_student(problem, 100 + s));
    if (shared) continue;
    list.back().requantization.resize(problem.model.nodes.size());
    list.back().requantization[0] = problem.model.nodes[0].requantization;
  }
  std::vector<ForwardResult> results(students);
  engine->forward(list, results);
  const double seconds = time(state, [&] { engine->forward(list, results); });
  report(state, name, double(images) * students * state.iterations(), seconds, false);
  state.SetLabel(engine->description());
}

}  // namespace
}  // namespace triseg

int main(int argc, char** argv) {
  omp_set_num_threads(1);
  benchmark::Initialize(&argc, argv);
  std::vector<std::string> names(argv + 1, argv + argc);
  if (names.empty()) names = {"alexnet", "lenet5", "resnet8", "resnet20", "squeezenet", "mobilenetv1"};
  for (const std::string& name : names) {
    const auto add = [&](const char* what, auto f, bool flag) {
      benchmark::RegisterBenchmark((name + "/" + what).c_str(), f, name, flag)->Unit(benchmark::kMillisecond);
    };
    add("bare/any", triseg::bare, false);
    add("bare/nhwc", triseg::bare, true);
    add("forward", triseg::forward, true);
    add("forward/unshared", triseg::forward, false);
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
