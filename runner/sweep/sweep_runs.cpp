#include "runner/sweep/sweep_runs.hpp"

#include "core/atomic_file.hpp"
#include "core/cores.hpp"
#include "core/error.hpp"
#include "core/text.hpp"
#include "learner/judging/selection.hpp"
#include "runner/commands/declare_options.hpp"
#include "runner/file_lock.hpp"
#include "runner/ranks/ranks.hpp"
#include "runner/ranks/report_error.hpp"
#include "runner/ranks/signals.hpp"
#include "runner/ranks/transport.hpp"
#include "runner/run_search.hpp"
#include "worker/engines/engines.hpp"

#include <CLI/CLI.hpp>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <sstream>
#include <system_error>
#include <thread>
#include <unistd.h>

namespace triseg {
namespace {

namespace fs = std::filesystem;

constexpr int most_runs_on_a_gpu = 16;

/// Hands out runs: each to one process of all that share the folder.
class Queue {
 public:
  Queue(const SweepFolder& folder, std::size_t runs, std::optional<std::size_t> only)
      : folder_(folder), next_(only.value_or(0)), end_(only ? *only + 1 : runs), exclusive_(only.has_value()) {}

  /// The next run that nobody has taken, or nothing. From any thread.
  std::optional<std::size_t> take() {
    for (;;) {
      const std::size_t index = next_++;
      if (index >= end_) return std::nullopt;
      if (exclusive_ || claim(index)) return index;
    }
  }

 private:
  /// A file is made by one process alone, on any file system.
  bool claim(std::size_t index) const {
    const fs::path path = folder_.claims() / fmt::format("{}", index);
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 && errno != EEXIST) fail("cannot write {}: {}", path.string(), std::strerror(errno));
    if (fd >= 0) ::close(fd);
    return fd >= 0;
  }

  const SweepFolder& folder_;
  std::atomic<std::size_t> next_;
  std::size_t end_;
  bool exclusive_;
};

/// How the runs of a process, or of all, came out.
struct Tally {
  std::atomic<int> finished = 0, failed = 0;
};

/// What the sweep itself says, while its searches are silent.
class Log {
 public:
  explicit Log(std::size_t runs) : runs_(runs), own_(spdlog::default_logger()->clone("sweep")) {
    own_->set_level(spdlog::level::info);
    spdlog::set_level(spdlog::level::warn);
  }
  ~Log() { spdlog::set_level(spdlog::level::info); }

  void say(const std::string& text) { own_->info("{}", text); }
  void say_of(std::size_t index, const SweepTable& table, const std::string& what) {
    std::string values;
    for (std::size_t i = 0; i < table.varied.size(); ++i)
      values += fmt::format("{} {}", i ? "," : "", table.varied[i] + "=" + table.runs[index].varied[i]);
    say(fmt::format("[{}/{}] {}{}: {}", index + 1, runs_, table.runs[index].id, values, what));
  }

 private:
  std::size_t runs_;
  std::shared_ptr<spdlog::logger> own_;
};

std::string seconds_since(std::chrono::steady_clock::time_point start) {
  return fmt::format("{:.1f} s", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
}

/// One group of ranks, or one thread of a lone rank, that does one run after the other.
class Worker {
 public:
  Worker(const SweepTable& table, const SweepPlace& place, const SweepFolder& folder, Transport& ranks, Queue& queue,
         Tally& tally, Log& log)
      : table_(table), place_(place), folder_(folder), ranks_(ranks), queue_(queue), tally_(tally), log_(log) {}

  /// Until no run is left, or a stop signal has come.
  void work() {
    for (auto index = next(); index && run(*index); index = next()) {}
  }

 private:
  /// The run that rank 0 has taken for the group.
  std::optional<std::size_t> next() {
    std::string taken;
    agree(ranks_, [&] {
      if (ranks_.rank() != 0 || stop_signal_received()) return;
      if (const auto index = queue_.take()) taken = fmt::format("{}", *index);
    });
    taken = broadcast_text(ranks_, taken);
    return taken.empty() ? std::nullopt : std::optional<std::size_t>(std::stoul(taken));
  }

  /// False if a stop signal has ended it.
  bool run(std::size_t index) {
    const SweepRun& run = table_.runs[index];
    const bool first = ranks_.rank() == 0;
    const auto start = std::chrono::steady_clock::now();
    try {
      const int exit_code = search(index, run);
      if (exit_code != 0 && first) log_.say_of(index, table_, "stopped by a signal; the same command continues it");
      return exit_code == 0;
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

  int search(std::size_t index, const SweepRun& run) {
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
      fs::remove(folder_.failure(run.id));
    });
    const DescribeOptions describe = [&](const SearchOptions& completed) { return option_texts(app, completed); };
    const auto start = std::chrono::steady_clock::now();
    return run_search(ranks_, "", describe, options, cache_, [&](const RunData& data, const RunFiles&) {
      const Candidate& chosen = data.top.at(data.selected.top_index);
      ++tally_.finished;
      log_.say_of(index, table_,
                  fmt::format("KD {:.4f}, accuracy drop {:.2f} points on validation; {}", chosen.validation.mean_kd(),
                              accuracy_drop(chosen.validation), seconds_since(start)));
    });
  }

  const SweepTable& table_;
  const SweepPlace& place_;
  const SweepFolder& folder_;
  Transport& ranks_;
  Queue& queue_;
  Tally& tally_;
  Log& log_;
  InputsCache cache_;
};

/// How many searches a lone rank does at once: one a core, whose arithmetic needs no other; on a GPU as many as keep it
/// busy while the others learn.
int runs_at_once(const SweepPlace& place, const Transport& ranks, std::size_t runs) {
  if (ranks.size() > 1) return 1;
  int most = place.runs_at_once;
  if (most == 0) {
    most = ranks.threads() / std::max(1, place.engine.threads);
    if (resolve_engine(place.engine.engine) == EngineKind::cuda) most = std::min(most, most_runs_on_a_gpu);
  }
  return std::max<int>(1, std::min<std::size_t>(std::max(1, most), runs));
}

void do_runs(const SweepTable& table, const SweepPlace& place, const SweepFolder& folder, Transport& group,
             Tally& tally, Log& log) {
  Queue queue(folder, table.runs.size(), place.index);
  const int at_once = runs_at_once(place, group, place.index ? 1 : table.runs.size());
  if (at_once == 1) return Worker(table, place, folder, group, queue, tally, log).work();
  const int threads_each =
      place.engine.threads > 0 ? place.engine.threads : std::max(1, group.threads() / at_once);  // unless a run says it
  ensure_threads(at_once);
  std::vector<std::exception_ptr> failures(at_once);
  std::vector<std::thread> threads;
  for (int i = 0; i < at_once; ++i)
    threads.emplace_back([&, i] {
      failures[i] = failure_of([&] {
        const auto alone = make_local_transport(group.local_rank(), threads_each);
        Worker(table, place, folder, *alone, queue, tally, log).work();
      });
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& failure : failures)
    if (failure) std::rethrow_exception(failure);
}

/// Makes the folder this sweep's: its table, and no claims of an earlier one.
void take_folder(const SweepFolder& folder, const SweepTable& table, bool whole) {
  write_table(folder, table);
  if (!whole) return;
  fs::remove_all(folder.claims());
  fs::create_directories(folder.claims());
}

std::string summary(const SweepFolder& folder, std::size_t runs, int finished, int failed, int stopped) {
  std::string text = fmt::format("Sweep {}: {} of {} finished", folder.path.string(), finished, counted(runs, "run"));
  if (failed > 0) text += fmt::format(", {} failed", failed);
  if (stopped > 0) text += ", stopped by a signal: the same command continues";
  return text;
}

}  // namespace

int run_sweep(const SweepTable& table, const SweepPlace& place, std::exception_ptr problem) {
  const RankGroups ranks = make_rank_groups(place.ranks.transport, place.engine.engine, place.ranks.rank_timeout,
                                            place.index ? 1'000'000 : place.ranks_per_run, problem);
  return together(*ranks.world, [&] {
    const SweepFolder folder{place.out};
    const std::size_t runs = place.index ? 1 : table.runs.size();
    std::optional<FileLock> lock;
    agree(*ranks.world, [&] {
      if (ranks.world->rank() != 0) return;
      ensure_writable_folder(folder.path);
      // Tasks of an array do one run each, side by side, but not beside a sweep that does all.
      lock.emplace(folder.table(), "--out", place.index.has_value());
      take_folder(folder, table, !place.index);
    });
    std::string ids;
    for (const SweepRun& run : table.runs) ids += run.id;
    agree_on(*ranks.world, ids, "the sweep file is not that of rank 0");
    Tally tally;
    Log log(table.runs.size());
    if (ranks.world->rank() == 0)
      log.say(fmt::format("Sweep of {} into {}, {} of ranks", counted(runs, "run"), folder.path.string(),
                          counted(ranks.count, "group")));
    do_runs(table, place, folder, *ranks.group, tally, log);
    const bool speaks = ranks.group->rank() == 0;
    int finished = 0, failed = 0, stops = 0;
    for (const std::string& text :
         gather_texts(*ranks.world, fmt::format("{} {} {}", speaks ? tally.finished.load() : 0,
                                                speaks ? tally.failed.load() : 0, int(stop_signal_received())))) {
      std::istringstream numbers(text);
      for (int* sum : {&finished, &failed, &stops}) {
        int number = 0;
        numbers >> number;
        *sum += number;
      }
    }
    const bool stopped = stops > 0 && finished + failed < static_cast<int>(runs);
    const int exit_code = stopped ? exit_resumable : finished < static_cast<int>(runs) ? 1 : 0;
    if (ranks.world->rank() == 0) log.say(summary(folder, runs, finished, failed, stopped));
    return std::stoi(broadcast_text(*ranks.world, fmt::format("{}", exit_code)));
  });
}

}  // namespace triseg
