// Where an iteration's time goes, by the number of ranks: a real search over real MPI ranks whose engine only waits,
// the same time for every student image. Started by bench/scaling.py, which makes tables of the lines that this prints.
//
//   mpirun -n RANKS triseg_bench_scaling MODEL EPISODES EPISODES_PER_UPDATE BATCH_SIZE NANOSECONDS LAG DEDICATED
//
// prints as many seconds as there are columns, medians over the second half of the iterations unless said:
//
//   iteration  the whole
//   draw       codes of an iteration's episodes (mean; 0 with a lag, which hides it)
//   update     the policy's, wherever it runs
//   send       rank 0 gives the request to all others
//   score      rank 0 scores its share
//   gather     rank 0 waits for the records of the others and takes them
//   commit     one commit of the run file (mean)
//   ranks      those that score in the end, which is no time
//
//   mpirun -n RANKS triseg_bench_scaling messages BYTES
//
// prints the processor time that rank 0 takes to send BYTES to every other rank when those wait, and to take the
// records of one candidate from each when all have been sent: medians. It does not wait, so that the number of cores
// does not matter.
#include "core/error.hpp"
#include "network/recipes.hpp"
#include "runner/ranks/ranks.hpp"
#include "runner/search.hpp"
#include "tests/worker/random_network.hpp"

#include <spdlog/spdlog.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <thread>

namespace triseg {
namespace {

using Clock = std::chrono::steady_clock;

/// Waits `each` for every student image, as a device does: without a core. What it gives follows from the students'
/// tables alone: the further from the identity, the further from the teacher.
class WaitingEngine final : public Engine {
 public:
  WaitingEngine(const Problem& problem, std::chrono::nanoseconds each) : problem_(problem), each_(each) {
    ::prctl(PR_SET_TIMERSLACK, 1000);  // [ns] of this thread: it wakes when it should
  }
  std::string_view name() const override { return "waiting"; }
  std::string description() const override { return "waits"; }
  void load_images(std::span<const std::uint8_t>, int images) override { images_ = images; }

  void forward(std::span<const Student> students, std::span<ForwardResult> results) override {
    const auto end = Clock::now() + each_ * static_cast<std::int64_t>(students.size() * images_);
    owned_.resize(std::max(owned_.size(), students.size()));
    for (std::size_t i = 0; i < students.size(); ++i) {
      int distance = 0;
      for (const Table& table : students[i].tables)
        for (int q = 0; q < 256; ++q) distance += std::abs(table[q] - q);
      OwnedForwardResult& result = owned_[i];
      result.logit_codes.assign(std::size_t(images_) * problem_.network().classes, 100);
      for (int n = 0; n < images_; ++n)
        result.logit_codes[std::size_t(n) * problem_.network().classes] =
            static_cast<std::uint8_t>(std::max(0, 200 - distance / 64));
      result.attention.assign(problem_.attention.size(), std::vector<std::uint32_t>(images_, 1));
      results[i] = result.view();
    }
    std::this_thread::sleep_until(end);
  }
  void add_moments(const Student&, std::span<Moments>) override { fail("the waiting engine has no moments"); }
  void trace(const Student&, const TraceSink& sink) override {
    std::vector<std::uint8_t> codes;
    for (int q = 0; q < 64; ++q) codes.insert(codes.end(), 2 * (64 - q), static_cast<std::uint8_t>(q));
    for (const std::size_t site : problem_.sites) sink({site, images_, 1, 1, {}, codes});
  }

 private:
  const Problem& problem_;
  std::chrono::nanoseconds each_;
  int images_ = 0;
  std::vector<OwnedForwardResult> owned_;
};

/// Another transport, and what its calls take in iterations.
class TimedTransport final : public Transport {
 public:
  explicit TimedTransport(Transport& inner) : inner_(inner) {}
  std::string_view name() const override { return inner_.name(); }
  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }
  int local_rank() const override { return inner_.local_rank(); }
  int threads() const override { return inner_.threads(); }
  void broadcast(std::vector<std::byte>& message) override {
    const auto start = Clock::now();
    inner_.broadcast(message);
    sent_ = Clock::now();
    add(send, start, sent_);
  }
  std::vector<std::vector<std::byte>> gather(std::span<const std::byte> mine) override {
    const auto start = Clock::now();
    add(score, sent_, start);
    auto all = inner_.gather(mine);
    add(gathering, start, Clock::now());
    return all;
  }
  void set_phase(std::string_view phase) override {
    in_iteration_ = phase.starts_with("iteration");
    inner_.set_phase(phase);
  }
  [[noreturn]] void abort(int exit_code) override {
    inner_.abort(exit_code);
    std::_Exit(exit_code);
  }

  std::vector<double> send, score, gathering;  ///< (iterations) [s]

 private:
  void add(std::vector<double>& to, Clock::time_point from, Clock::time_point until) const {
    if (in_iteration_) to.push_back(std::chrono::duration<double>(until - from).count());
  }

  Transport& inner_;
  bool in_iteration_ = false;
  Clock::time_point sent_;
};

/// The median of the second half, when the number of ranks that score has been chosen.
double median(std::vector<double> values) {
  values.erase(values.begin(), values.begin() + values.size() / 2);
  if (values.empty()) fail("expected at least one iteration");
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

/// What this thread has computed so far [s].
double processor_time() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return double(time.tv_sec) + 1e-9 * double(time.tv_nsec);
}

int measure_messages(Transport& transport, std::size_t bytes) {
  constexpr int rounds = 30;
  const std::chrono::milliseconds all_are_there(20 + 2 * transport.size());
  std::vector<std::byte> order(bytes), records(sizeof(Score) + 9);
  std::vector<double> send, take;
  for (int i = 0; i < rounds; ++i) {
    if (transport.rank() == 0) std::this_thread::sleep_for(all_are_there);  // the others wait for the order
    const double start = processor_time();
    transport.broadcast(order);
    send.push_back(processor_time() - start);
    if (transport.rank() == 0) std::this_thread::sleep_for(all_are_there);  // their records arrive
    const double there = processor_time();
    transport.gather(records);
    take.push_back(processor_time() - there);
  }
  if (transport.rank() == 0) fmt::print("{} {}\n", median(send), median(take));
  return 0;
}

int measure(Transport& transport, char** arguments) {
  SearchOptions o;
  const Problem problem = testing::random_problem(make_recipe(arguments[1]).network, Scheme::fbgemm, 1);
  o.episodes = std::stoull(arguments[2]);
  o.iteration.episodes_per_update = std::stoull(arguments[3]);
  o.iteration.batch_size = static_cast<std::uint32_t>(std::stoul(arguments[4]));
  const std::chrono::nanoseconds each(std::stoll(arguments[5]));
  o.strategy.ppo.lag = std::stoi(arguments[6]);
  o.iteration.calib_batches = 1;
  o.selection.top_k = 1;
  o.objective.eval_every = 0;
  o.output.checkpoint_every = o.output.progress_every = 1e9;

  const DataSet data = load_data_set("shapes");
  Scorer scorer(
      problem, data, [&] { return std::make_unique<WaitingEngine>(problem, each); }, 1, 2.0);
  TimedTransport timed(transport);
  Rollout rollout(timed, scorer, std::stoi(arguments[7]) != 0);
  if (transport.rank() != 0) return rollout.serve();

  RunData run;
  run.network = problem.network();
  run.seed = o.iteration.seed;
  run.temperature = o.problem.temperature;
  run.attention_weight = o.problem.attention_weight;
  const auto file = std::filesystem::temp_directory_path() / fmt::format("triseg-bench-{}.h5", ::getpid());
  Search search(o, problem, data, rollout, std::move(run), file);
  search.run();
  rollout.finish(0);
  std::filesystem::remove(file);

  constexpr int commits = 3;  // before the iterations, behind them, and at the end
  std::vector<double> iteration, update;
  double updates = 0;
  for (const Update& u : search.data().updates) {
    iteration.push_back(u.iteration_seconds);
    update.push_back(u.update_seconds);
    updates += u.update_seconds;
  }
  const double draw = o.strategy.ppo.lag > 0 ? 0 : (search.seconds().learner - updates) / double(iteration.size());
  fmt::print("{} {} {} {} {} {} {} {}\n", median(iteration), draw, median(update), median(timed.send),
             median(timed.score), median(timed.gathering), search.seconds().files / commits, rollout.working_ranks());
  return 0;
}

}  // namespace
}  // namespace triseg

int main(int argc, char** argv) {
  using namespace triseg;
  try {
    const bool messages = argc == 3 && std::string_view(argv[1]) == "messages";
    if (!messages && argc != 8)
      fail("expected messages BYTES, or MODEL EPISODES EPISODES_PER_UPDATE BATCH_SIZE NANOSECONDS LAG DEDICATED");
    spdlog::set_level(spdlog::level::off);
    const auto transport = make_transport(TransportKind::mpi, 600, nullptr);
    return together(*transport, [&] {
      return messages ? measure_messages(*transport, std::stoull(argv[2])) : measure(*transport, argv);
    });
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
