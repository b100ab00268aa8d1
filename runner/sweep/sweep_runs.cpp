#include "runner/sweep/sweep_runs.hpp"

#include "core/atomic_file.hpp"
#include "core/cores.hpp"
#include "core/error.hpp"
#include "core/terminal.hpp"
#include "core/text.hpp"
#include "learner/files/run_file.hpp"
#include "learner/judging/selection.hpp"
#include "runner/cli/declare_options.hpp"
#include "runner/cli/option_checks.hpp"
#include "runner/file_lock.hpp"
#include "runner/display/live_view.hpp"
#include "runner/display/progress.hpp"
#include "runner/ranks/ranks.hpp"
#include "runner/ranks/report_error.hpp"
#include "runner/ranks/signals.hpp"
#include "runner/ranks/transport.hpp"
#include "runner/run_search.hpp"
#include "runner/sweep/sweep_halving.hpp"
#include "runner/sweep/sweep_inputs.hpp"
#include "core/toml_file.hpp"
#include "worker/cuda/devices.hpp"
#include "worker/engines/engines.hpp"

#include <CLI/CLI.hpp>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <sstream>
#include <system_error>
#include <thread>
#include <tuple>
#include <unistd.h>
#include <utility>
#include <vector>

namespace triseg {
namespace {

namespace fs = std::filesystem;

constexpr int most_runs_on_a_gpu = 16;

/// A run, and how far it goes now.
struct Leg {
  std::size_t run = 0;     ///< SweepTable::runs
  std::uint64_t rung = 0;  ///< [episodes]; 0: to its end
};

/// Hands out legs: each to one process of all that share the folder.
class Queue {
 public:
  /// claims: a folder for marks of what is taken; empty: this process alone takes legs.
  Queue(const std::vector<Leg>& legs, fs::path claims) : legs_(legs), claims_(std::move(claims)) {}

  /// The next leg that nobody has taken, or nothing. From any thread.
  std::optional<Leg> take() {
    for (;;) {
      const std::size_t next = next_++;
      if (next >= legs_.size()) return std::nullopt;
      if (claims_.empty() || claim(legs_[next].run)) return legs_[next];
    }
  }

 private:
  /// A file is made by one process alone, on any file system.
  bool claim(std::size_t run) const {
    const fs::path path = claims_ / fmt::format("{}", run);
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 && errno != EEXIST) fail("cannot write {}: {}", path.string(), std::strerror(errno));
    if (fd >= 0) ::close(fd);
    return fd >= 0;
  }

  const std::vector<Leg>& legs_;
  std::atomic<std::size_t> next_ = 0;
  fs::path claims_;
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
  ~Log() {
    end_live_view();
    spdlog::set_level(spdlog::level::info);
  }

  void say(const std::string& text) { own_->info("{}", text); }
  void say_of(std::size_t index, const SweepTable& table, const std::string& what) {
    std::string values;
    for (std::size_t i = 0; i < table.varied.size(); ++i)
      values += fmt::format("{} {}={}", i ? "," : "", table.varied[i], printable(table.runs[index].varied[i]));
    say(fmt::format("[{}/{}] {}{}: {}", index + 1, runs_, table.runs[index].id, values, what));
  }

  /// From now on a terminal shows how many of `runs` have got as far as this pass takes them: all but `legs` at first.
  void show_pass(std::size_t runs, std::size_t legs) {
    const std::lock_guard lock(mutex_);
    pass_ = Pass{runs, runs - legs, runs - legs, 0, Clock::now()};
    show();
  }
  void leg_begins() {
    const std::lock_guard lock(mutex_);
    ++pass_.running;
    show();
  }
  /// done: as far as it was to go.
  void leg_ends(bool done) {
    const std::lock_guard lock(mutex_);
    --pass_.running;
    pass_.done += done;
    show();
  }

 private:
  using Clock = std::chrono::steady_clock;
  struct Pass {
    std::size_t runs = 0, done_before = 0, done = 0, running = 0;
    Clock::time_point start;
  };

  void show() const {
    if (pass_.runs == 0 || !live_view_possible()) return;
    const auto [runs, before, done, running, start] = pass_;
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    const std::string eta = done > before ? clock_time(seconds / double(done - before) * double(runs - done)) : "?";
    show_live_view(progress_lines(double(done) / double(runs), fmt::format("{}/{} runs", done, runs),
                                  {fmt::format("{} running", running), "ETA " + eta}, terminal_size().columns));
  }

  std::mutex mutex_;
  Pass pass_;  ///< of no runs: not shown
  std::size_t runs_;
  std::shared_ptr<spdlog::logger> own_;
};

/// "RUN RUNG ..." for other ranks.
std::string text_of(const std::vector<Leg>& legs) {
  std::string text;
  for (const Leg& leg : legs) text += fmt::format("{} {} ", leg.run, leg.rung);
  return text;
}

std::vector<Leg> legs_in(const std::string& text) {
  std::istringstream numbers(text);
  std::vector<Leg> legs;
  for (Leg leg; numbers >> leg.run >> leg.rung;) legs.push_back(leg);
  return legs;
}

std::string seconds_since(std::chrono::steady_clock::time_point start) {
  return fmt::format("{:.1f} s", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
}

/// One group of ranks, or one thread of a lone rank, that does one run after the other.
class Worker {
 public:
  /// inputs: what this process has loaded already.
  Worker(const SweepTable& table, const SweepPlace& place, const SweepFolder& folder, std::shared_ptr<Transport> ranks,
         Tally& tally, Log& log, const InputsCache& inputs)
      : table_(table),
        place_(place),
        folder_(folder),
        group_(std::move(ranks)),
        ranks_(*group_),
        tally_(tally),
        log_(log),
        cache_(inputs) {}

  /// Until no leg is left, or a stop signal has come.
  void work(Queue& queue) {
    for (auto leg = next(queue); leg; leg = next(queue)) {
      log_.leg_begins();
      const bool ended = run(*leg);
      log_.leg_ends(ended);
      if (!ended) return;
    }
  }

 private:
  /// The leg that rank 0 has taken for the group.
  std::optional<Leg> next(Queue& queue) {
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
  Tally& tally_;
  Log& log_;
  InputsCache cache_;
};

EngineKind engine_of(const SweepPlace& place, const SweepRun& run) {
  return place.engine.engine == EngineKind::automatic ? run.search.engine.engine : place.engine.engine;
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

/// The workers of a group of ranks, one or more, which keep what they have loaded.
class Crew {
 public:
  Crew(const SweepTable& table, const SweepPlace& place, const SweepFolder& folder,
       const std::shared_ptr<Transport>& group, std::size_t runs, Tally& tally, Log& log, const InputsCache& inputs) {
    const int at_once = runs_at_once(table, place, *group, runs);
    const int threads_each =
        place.engine.threads > 0 ? place.engine.threads : std::max(1, group->threads() / at_once);  // unless a run says
    if (at_once > 1) ensure_threads(at_once);
    for (int i = 0; i < at_once; ++i)
      workers_.push_back(std::make_unique<Worker>(
          table, place, folder, at_once == 1 ? group : make_local_transport(group->local_rank(), threads_each), tally,
          log, inputs));
  }

  /// Until no leg is left, or a stop signal has come.
  void work(Queue& queue) {
    if (workers_.size() == 1) return workers_.front()->work(queue);
    std::vector<std::exception_ptr> failures(workers_.size());
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < workers_.size(); ++i)
      threads.emplace_back([&, i] { failures[i] = failure_of([&] { workers_[i]->work(queue); }); });
    for (std::thread& thread : threads) thread.join();
    for (const std::exception_ptr& failure : failures)
      if (failure) std::rethrow_exception(failure);
  }

 private:
  std::vector<std::unique_ptr<Worker>> workers_;
};

/// The runs that this sweep is to do, by their index.
std::vector<std::size_t> own_runs(const SweepTable& table, const SweepPlace& place) {
  const std::size_t step = !place.index ? 1 : place.index_step > 0 ? place.index_step : table.runs.size();
  std::vector<std::size_t> own;
  for (std::size_t i = place.index.value_or(0); i < table.runs.size(); i += step) own.push_back(i);
  return own;
}

/// Makes the folder this sweep's: writes its table, unless an index counts in the one that is there.
void take_folder(const SweepFolder& folder, const SweepTable& table, const SweepPlace& place) {
  if (place.index) {
    if (has_other_table(folder, table))
      fail(
          "--index: {} is not the table of the sweep file as it is now: undo what was changed in the file, or write "
          "the table anew with --slurm",
          folder.table().string());
    return write_table(folder, table);
  }
  write_table(folder, table);
  if (!table.halving.rungs.empty())
    for (const SweepRun& run : table.runs) fs::remove(folder.failure(run.id));  // tried before a rung is decided
}

void clear_claims(const SweepFolder& folder) {
  fs::remove_all(folder.claims());
  fs::create_directories(folder.claims());
}

/// True if nothing is left to do of the run: it is finished, and what follows from it is written.
bool is_done(const SweepFolder& folder, const std::string& id) {
  const RunFiles files = folder.files(id);
  std::error_code ignored;
  return fs::exists(files.result, ignored) && fs::exists(files.pareto, ignored) && is_finished(folder, id);
}

/// The first of a run's options that a run file was made with another value of, as "strategy (ppo instead of random)";
/// empty if there is none. What names files is compared by digests, and what changes the speed alone is not looked at.
std::string other_option(const SweepRun& run, const std::string& config) {
  std::map<std::string, std::string> stored;
  for (const TomlEntry& entry : parse_toml(config.substr(0, config.find("\n# ")), "/@config", "key = value"))
    stored[entry.key] = entry.joined();
  for (const TomlEntry& entry : run.options) {
    const auto found = stored.find(entry.key);
    if (found == stored.end() || std::set<std::string>{"data", "teacher", "start", "energy-table"}.contains(entry.key))
      continue;
    const auto before = number_in<double>(found->second), now = number_in<double>(entry.joined());
    if (before && now ? *before != *now : found->second != entry.joined())
      return fmt::format("{} ({} instead of {})", entry.key, found->second, entry.joined());
  }
  return "";
}

/// Throws Error if a finished run was done with other options than those that it stands for.
void check_configurations(const SweepFolder& folder, const SweepTable& table, const std::vector<std::size_t>& own) {
  for (const std::size_t i : own) {
    if (!is_done(folder, table.runs[i].id)) continue;
    const fs::path file = folder.files(table.runs[i].id).run;
    if (const std::string other = other_option(table.runs[i], read_progress(file).config); !other.empty())
      fail("{} was made with another configuration, {}: move it away", file.string(), other);
  }
}

/// Throws Error if a finished run was done with other files than those that the options of the sweep name now.
void check_done(const SweepFolder& folder, const SweepTable& table, const std::vector<std::size_t>& own) {
  std::map<std::string, const SweepRun*> loaded;  // by what names the files
  const auto names = [](const SweepRun& run) {
    const ProblemOptions& o = run.search.problem;
    return fmt::format("{}\n{}\n{}\n{}", o.data, o.teacher, o.model, o.backend ? scheme_name(*o.backend) : "");
  };
  for (const SweepRun& run : table.runs)
    if (!run.model_sha256.empty()) loaded[names(run)] = &run;
  for (const std::size_t i : own) {
    if (!is_done(folder, table.runs[i].id)) continue;
    const fs::path file = folder.files(table.runs[i].id).run;
    const RunProgress run = read_progress(file);
    const auto now = loaded.find(names(table.runs[i]));
    if (now == loaded.end()) continue;
    for (const auto& [what, before, after] : {std::tuple("model file", run.model_sha256, now->second->model_sha256),
                                              {"images", run.data_sha256, now->second->data_sha256}})
      if (before != after)
        fail("{} was finished with another {} than there is now, {}: choose another --out for what is there now",
             file.string(), what, what);
  }
}

/// Runs in the folder that are not in the table: of a sweep file that has changed, or of another version.
std::size_t runs_beside(const SweepFolder& folder, const SweepTable& table) {
  std::set<std::string> ids;
  for (const SweepRun& run : table.runs) ids.insert(run.id);
  std::error_code none;
  std::size_t others = 0;
  for (const auto& entry : fs::directory_iterator(folder.path / "runs", none))
    others += !ids.contains(entry.path().filename().string());
  return others;
}

/// What is done already, in words that change with every commit: "3 of 18 runs finished, ..."; empty if there is
/// nothing.
std::string progress_of(const SweepFolder& folder, const SweepTable& table, const std::vector<std::size_t>& own) {
  std::size_t finished = 0, rungs = 0;
  std::uint64_t episodes = 0, finalist_images = 0;
  std::error_code ignored;
  for (const std::size_t i : own) {
    const std::string& id = table.runs[i].id;
    rungs += read_measurements(folder, id).size();
    try {
      if (!fs::exists(folder.files(id).run, ignored)) continue;
      const RunProgress run = read_progress(folder.files(id).run);
      finished += run.finished;
      episodes += run.episodes;
      finalist_images += run.finalist_images;
    } catch (const Error&) {  // its search says what is wrong
    }
  }
  if (finished + episodes + finalist_images + rungs == 0) return "";
  return fmt::format(
      "{} of {} finished, {} episodes{}, {} images of final scoring", finished, counted(own.size(), "run"), episodes,
      table.halving.rungs.empty() ? "" : ", " + counted(rungs, "measurement") + " at rungs", finalist_images);
}

/// Loads what the runs of these legs read, so that what does not fit is said before any of them is done.
void look_ahead(const SweepFolder& folder, SweepTable& table, const std::vector<std::size_t>& own,
                const std::vector<Leg>& legs, InputsCache& inputs, bool first) {
  std::vector<std::size_t> runs;
  for (const Leg& leg : legs) runs.push_back(leg.run);
  look_at_inputs(table, runs, inputs, first);
  if (first) check_done(folder, table, own);
}

/// What is to be done before the next rungs are decided. again: after others, by the same sweep.
std::vector<Leg> next_legs(const SweepFolder& folder, const SweepTable& table, const std::vector<std::size_t>& own,
                           const std::vector<Standing>& standings, bool again) {
  std::vector<Leg> legs;
  std::error_code ignored;
  for (const std::size_t i : own) {
    const std::string& id = table.runs[i].id;
    const bool searches = standings[i].state == Standing::State::searches;
    const bool to_rung = searches && standings[i].rungs < table.halving.rungs.size();
    if (is_done(folder, id) || (!searches && !is_finished(folder, id))) continue;
    if (again && fs::exists(folder.failure(id), ignored)) continue;
    legs.push_back({i, to_rung ? table.halving.rungs[standings[i].rungs] : 0});
  }
  return legs;
}

/// How the runs of a sweep came out, of all ranks.
struct Outcome {
  int runs = 0, finished = 0, failed = 0, stopped = 0, waiting = 0;
  bool signal = false;
};

std::string summary(const SweepFolder& folder, const Outcome& o) {
  std::string text =
      fmt::format("Sweep {}: {} of {} finished", folder.path.string(), o.finished, counted(o.runs, "run"));
  if (o.failed > 0) text += fmt::format(", {} failed", o.failed);
  if (o.stopped > 0) text += fmt::format(", {} stopped by [halving]", o.stopped);
  if (o.signal) text += ", stopped by a signal: the same command continues";
  else if (o.waiting > 0)
    text += fmt::format(", {} waiting at a rung for others: the same command continues", o.waiting);
  return text;
}

/// Adds up what all ranks have counted; on rank 0 of the world, else nothing is known.
Outcome gathered(Transport& world, bool speaks, const Tally& tally) {
  Outcome sum;
  const std::string mine = fmt::format("{} {} {}", speaks ? tally.finished.load() : 0, speaks ? tally.failed.load() : 0,
                                       int(stop_signal_received()));
  for (const std::string& text : gather_texts(world, mine)) {
    std::istringstream numbers(text);
    int finished = 0, failed = 0, signal = 0;
    numbers >> finished >> failed >> signal;
    sum.finished += finished, sum.failed += failed, sum.signal = sum.signal || signal > 0;
  }
  return sum;
}

}  // namespace

int run_sweep(SweepTable table, const SweepPlace& place, std::exception_ptr problem) {
  const RankGroups ranks = make_rank_groups(place.ranks.transport, place.ranks.rank_timeout,
                                            place.index ? 1'000'000 : place.ranks_per_run, problem);
  Transport& world = *ranks.world;
  return together(world, [&] {
    const SweepFolder folder{place.out};
    const std::vector<std::size_t> own = own_runs(table, place);
    const bool first = world.rank() == 0;
    std::optional<FileLock> lock;
    agree(world, [&] {
      if (!place.index && place.ranks_per_run > world.size())
        fail("--ranks-per-run {}: there {} {}: start {} or more with mpirun or srun", place.ranks_per_run,
             world.size() == 1 ? "is" : "are", counted(world.size(), "rank"), place.ranks_per_run);
      if (!first) return;
      ensure_writable_folder(folder.path);
      // Tasks of an array have runs of their own, side by side, but not beside a sweep that does all.
      lock.emplace(folder.table(), "--out", place.index.has_value(),
                   fmt::format("a sweep is under way in {}", folder.path.string()));
      take_folder(folder, table, place);
    });
    agree_on(world, table_text(table), "the sweep file is not that of rank 0");
    Tally tally;
    Log log(table.runs.size());
    std::optional<Crew> crew;
    int finished_before = 0;
    Outcome outcome;
    std::vector<Standing> all;
    // A pass takes the brackets over a rung, the last one to the end.
    for (std::size_t pass = 0; pass <= table.halving.rungs.size() && !outcome.signal; ++pass) {
      std::vector<Leg> legs;
      agree(world, [&] {
        if (!first) return;
        if (!place.index) clear_claims(folder);
        if (pass == 0) {
          all = settle(folder, table);
          for (std::size_t i = 0; i < all.size(); ++i)
            if (const std::size_t rung = all[i].rungs; all[i].state == Standing::State::searches &&
                                                       rung < table.halving.rungs.size() &&
                                                       is_finished(folder, table.runs[i].id))
              fail(
                  "[halving]: {} is finished, and was not measured at {} episodes: leave out [halving] or this rung, "
                  "or remove the run's folder to do it again",
                  folder.run(table.runs[i].id).string(), table.halving.rungs[rung]);
          log.say(fmt::format("Sweep of {} into {}{}, {} of ranks", counted(table.runs.size(), "run"),
                              folder.path.string(), place.index ? fmt::format(", {} of them here", own.size()) : "",
                              counted(ranks.count, "group")));
          if (const std::string text = repeats_text(table); !text.empty() && !place.index) log.say("warning: " + text);
          if (const std::size_t others = runs_beside(folder, table); others > 0)
            log.say(
                fmt::format("{} of another table in {}: left as found", counted(others, "run"), folder.path.string()));
          if (const std::string done = progress_of(folder, table, own); !done.empty())
            log.say(fmt::format("Continuing {}: {}", folder.path.string(), done));
        }
        if (first && pass == 0) check_configurations(folder, table, own);
        legs = next_legs(folder, table, own, all, pass > 0);
        if (pass == 0)
          finished_before = int(
              std::count_if(own.begin(), own.end(), [&](std::size_t i) { return is_done(folder, table.runs[i].id); }));
      });
      legs = legs_in(broadcast_text(world, text_of(legs)));
      if (legs.empty()) break;
      if (!crew) {
        InputsCache inputs;
        if (!place.index) {
          // Beside the reading of images; if no thread can be started, each worker does it.
          const auto device_started = std::async([&] {
            start_device(engine_of(place, table.runs[legs.front().run]), device_of(ranks.group->local_rank()));
          });
          agree(world, [&] { look_ahead(folder, table, own, legs, inputs, first); });
        }
        crew.emplace(table, place, folder, ranks.group, own.size(), tally, log, inputs);
      }
      if (world.size() == 1) log.show_pass(own.size(), legs.size());  // else none knows what the others do
      Queue queue(legs, place.index ? fs::path() : folder.claims());
      crew->work(queue);
      outcome = gathered(world, ranks.group->rank() == 0, tally);
      outcome.signal = broadcast_text(world, outcome.signal ? "signal" : "") == "signal";
      agree(world, [&] {
        if (first) all = settle(folder, table);
      });
    }
    int exit_code = 0;
    if (first) {
      outcome.runs = int(own.size());
      outcome.finished += finished_before;
      for (const std::size_t i : own)
        if (all[i].state != Standing::State::searches && !is_finished(folder, table.runs[i].id))
          ++(all[i].state == Standing::State::stopped ? outcome.stopped : outcome.waiting);
      const int ended = outcome.finished + outcome.stopped, waiting = place.index ? outcome.waiting : 0;
      outcome.signal = outcome.signal && ended + outcome.failed + waiting < outcome.runs;
      exit_code = outcome.signal ? exit_resumable : ended + waiting < outcome.runs ? 1 : 0;
      log.say(summary(folder, outcome));
    }
    return std::stoi(broadcast_text(world, fmt::format("{}", exit_code)));
  });
}

}  // namespace triseg
