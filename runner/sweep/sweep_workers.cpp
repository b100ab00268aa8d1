#include "runner/sweep/sweep_workers.hpp"

#include "core/atomic_file.hpp"
#include "core/cores.hpp"
#include "core/error.hpp"
#include "core/text.hpp"
#include "core/toml_file.hpp"
#include "learner/judging/selection.hpp"
#include "runner/cli/declare_options.hpp"
#include "runner/cli/option_checks.hpp"
#include "runner/file_lock.hpp"
#include "runner/ranks/ranks.hpp"
#include "runner/ranks/report_error.hpp"
#include "runner/ranks/signals.hpp"
#include "runner/run_search.hpp"
#include "runner/sweep/sweep_halving.hpp"
#include "worker/engines/engines.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <fcntl.h>
#include <string>
#include <thread>
#include <unistd.h>
#include <utility>

namespace triseg {
namespace {

namespace fs = std::filesystem;

constexpr int most_runs_on_a_gpu = 16;

std::string seconds_since(std::chrono::steady_clock::time_point start) {
  return fmt::format("{:.1f} s", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
}

/// How many searches a lone rank does at once: one a core, whose arithmetic needs no other; on a GPU as many as keep it
/// busy while the others learn.
int runs_at_once(const SweepTable& table, const SweepPlace& place, const Transport& ranks, std::size_t runs) {
  if (ranks.size() > 1) return 1;
  int most = place.runs_at_once;
  if (most == 0) {
    int threads = 1;
    bool gpu = false;
    for (const SweepRun& run : table.runs) {
      gpu = gpu || resolve_engine(engine_of(place, run)) == EngineKind::cuda;
      threads = std::max(threads, place.engine.threads > 0 ? place.engine.threads : run.search.engine.threads);
    }
    most = ranks.threads() / threads;
    if (gpu) most = std::min(most, most_runs_on_a_gpu);
  }
  return std::max<int>(1, std::min<std::size_t>(std::max(1, most), runs));
}

}  // namespace

LegQueue::LegQueue(const std::vector<Leg>& legs, fs::path claims) : legs_(legs), claims_(std::move(claims)) {}

std::optional<Leg> LegQueue::take() {
  for (;;) {
    const std::size_t next = next_++;
    if (next >= legs_.size()) return std::nullopt;
    if (claims_.empty() || claim(legs_[next].run)) return legs_[next];
  }
}

bool LegQueue::claim(std::size_t run) const {
  const fs::path path = claims_ / fmt::format("{}", run);
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0 && errno != EEXIST) fail("cannot write {}: {}", path.string(), std::strerror(errno));
  if (fd >= 0) ::close(fd);
  return fd >= 0;
}

EngineKind engine_of(const SweepPlace& place, const SweepRun& run) {
  return place.engine.engine == EngineKind::automatic ? run.search.engine.engine : place.engine.engine;
}

/// One group of ranks, or one thread of a lone rank, that does one run after the other.
class SweepCrew::Worker {
 public:
  /// inputs: what this process has loaded already.
  Worker(const SweepTable& table, const SweepPlace& place, const SweepFolder& folder, std::shared_ptr<Transport> ranks,
         SweepTally& tally, SweepLog& log, const InputsCache& inputs)
      : table_(table),
        place_(place),
        folder_(folder),
        group_(std::move(ranks)),
        ranks_(*group_),
        tally_(tally),
        log_(log),
        cache_(inputs) {}

  /// Until no leg is left, or a stop signal has come.
  void work(LegQueue& queue) {
    for (auto leg = next(queue); leg; leg = next(queue)) {
      log_.leg_begins();
      const bool ended = run(*leg);
      log_.leg_ends(ended);
      if (!ended) return;
    }
  }

 private:
  /// The leg that rank 0 has taken for the group.
  std::optional<Leg> next(LegQueue& queue) {
    std::string taken;
    agree(ranks_, [&] {
      if (ranks_.rank() != 0 || stop_signal_received()) return;
      if (const auto leg = queue.take()) taken = text_of({*leg});
    });
    const std::vector<Leg> legs = legs_in(broadcast_text(ranks_, taken));
    return legs.empty() ? std::nullopt : std::optional(legs.front());
  }

  /// False if a stop signal has ended it.
  bool run(const Leg& leg) {
    const bool first = ranks_.rank() == 0;
    const std::size_t index = leg.run;
    const auto start = std::chrono::steady_clock::now();
    try {
      const int exit_code = search(leg, table_.runs[index]);
      if (exit_code == exit_resumable && first)
        log_.say_of(index, table_, "stopped by a signal; the same command continues it");
      return exit_code != exit_resumable;
    } catch (const std::exception& error) {
      if (first) record(index, message_of(error), start);
      ++tally_.failed;
      // Ranks that share an error go on together; else the others wait for this one.
      if (ranks_.size() > 1 && !dynamic_cast<const SharedError*>(&error)) throw;
      return true;
    }
  }

  void record(std::size_t index, const std::string& message, std::chrono::steady_clock::time_point start) {
    log_.say_of(index, table_, fmt::format("failed after {}: {}", seconds_since(start), message));
    if (is_locked(folder_.files(table_.runs[index].id).run)) return;  // another process is at work on it
    try {
      const fs::path path = folder_.failure(table_.runs[index].id);
      fs::create_directories(path.parent_path());
      commit_file(path, printable(message) + "\n");
    } catch (const std::exception& error) {
      log_.say(fmt::format("the failure cannot be recorded: {}", error.what()));
    }
  }

  int search(const Leg& leg, const SweepRun& run) {
    CLI::App app;
    SearchOptions options;
    declare_search(app, options);
    std::vector<TomlEntry> entries = run.options;
    const auto set = [&](const char* key, const std::string& value, TomlEntry::Type type) {
      std::erase_if(entries, [&](const TomlEntry& entry) { return entry.key == key; });
      entries.push_back({key, false, {type}, {value}});
    };
    set("out", folder_.run(run.id).string(), TomlEntry::Type::text);
    set("result-file", sweep_result_file, TomlEntry::Type::text);
    if (place_.engine.engine != EngineKind::automatic)
      set("engine", std::string(name_of(engine_names(), place_.engine.engine)), TomlEntry::Type::text);
    if (place_.engine.threads > 0) set("threads", fmt::format("{}", place_.engine.threads), TomlEntry::Type::integer);
    if (place_.ranks.dedicated_learner) set("dedicated-learner", "true", TomlEntry::Type::boolean);
    apply_entries(app, entries, "run " + run.id);
    agree(ranks_, [&] {
      if (ranks_.rank() != 0) return;
      const fs::path file = folder_.files(run.id).run;
      if (is_locked(file)) fail("{} is being written by {}", file.string(), lock_holder(file));
      ensure_writable_folder(folder_.run(run.id));
      commit_file(folder_.options(run.id), toml_text(run.options));
      fs::remove(folder_.stopped(run.id));
      if (leg.rung == 0) fs::remove(folder_.failure(run.id));  // else it counts at the rung until it is measured there
    });
    const DescribeOptions describe = [&](const SearchOptions& completed) { return option_texts(app, completed); };
    const auto start = std::chrono::steady_clock::now();
    const OnFinished finished = [&](const RunData& data, const RunFiles&) {
      const Candidate& chosen = data.top.at(data.selected.top_index);
      ++tally_.finished;
      log_.say_of(leg.run, table_,
                  fmt::format("KD {:.4f}, accuracy drop {:.2f} points on validation; {}", chosen.validation.mean_kd(),
                              accuracy_drop(chosen.validation), seconds_since(start)));
    };
    const Pause pause{leg.rung, [&](std::uint64_t episodes, const Score& validation) {
                        add_measurement(folder_, run.id, {leg.rung, episodes, validation.images, validation.mean_kd()});
                        fs::remove(folder_.failure(run.id));
                        log_.say_of(leg.run, table_,
                                    fmt::format("KD {:.4f} at {} episodes; {}", validation.mean_kd(), episodes,
                                                seconds_since(start)));
                      }};
    return run_search(ranks_, describe, options, cache_, finished, leg.rung > 0 ? &pause : nullptr);
  }

  const SweepTable& table_;
  const SweepPlace& place_;
  const SweepFolder& folder_;
  std::shared_ptr<Transport> group_;
  Transport& ranks_;
  SweepTally& tally_;
  SweepLog& log_;
  InputsCache cache_;
};

SweepCrew::SweepCrew(const SweepTable& table, const SweepPlace& place, const SweepFolder& folder,
                     const std::shared_ptr<Transport>& group, std::size_t runs, SweepTally& tally, SweepLog& log,
                     const InputsCache& inputs) {
  const int at_once = runs_at_once(table, place, *group, runs);
  const int threads_each =
      place.engine.threads > 0 ? place.engine.threads : std::max(1, group->threads() / at_once);  // unless a run says
  if (at_once > 1) ensure_threads(at_once);
  for (int i = 0; i < at_once; ++i)
    workers_.push_back(std::make_unique<Worker>(
        table, place, folder, at_once == 1 ? group : make_local_transport(group->local_rank(), threads_each), tally,
        log, inputs));
}

SweepCrew::~SweepCrew() = default;

void SweepCrew::work(LegQueue& queue) {
  if (workers_.size() == 1) return workers_.front()->work(queue);
  std::vector<std::exception_ptr> failures(workers_.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < workers_.size(); ++i)
    threads.emplace_back([&, i] { failures[i] = failure_of([&] { workers_[i]->work(queue); }); });
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& failure : failures)
    if (failure) std::rethrow_exception(failure);
}

}  // namespace triseg
