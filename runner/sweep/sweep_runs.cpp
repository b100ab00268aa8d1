#include "runner/sweep/sweep_runs.hpp"

#include "core/atomic_file.hpp"
#include "core/error.hpp"
#include "core/text.hpp"
#include "runner/file_lock.hpp"
#include "runner/ranks/ranks.hpp"
#include "runner/ranks/signals.hpp"
#include "runner/ranks/transport.hpp"
#include "runner/sweep/sweep_folder.hpp"
#include "runner/sweep/sweep_halving.hpp"
#include "runner/sweep/sweep_inputs.hpp"
#include "runner/sweep/sweep_legs.hpp"
#include "runner/sweep/sweep_log.hpp"
#include "runner/sweep/sweep_workers.hpp"
#include "worker/cuda/devices.hpp"
#include "worker/engines/engines.hpp"

#include <algorithm>
#include <filesystem>
#include <future>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

namespace triseg {
namespace {

namespace fs = std::filesystem;

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

/// Loads what the runs of these legs read, so that what does not fit is said before any of them is done.
void look_ahead(const SweepFolder& folder, SweepTable& table, const std::vector<std::size_t>& own,
                const std::vector<Leg>& legs, InputsCache& inputs, bool first) {
  std::vector<std::size_t> runs;
  for (const Leg& leg : legs) runs.push_back(leg.run);
  look_at_inputs(table, runs, inputs, first);
  if (first) check_done(folder, table, own);
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
Outcome gathered(Transport& world, bool speaks, const SweepTally& tally) {
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
    SweepTally tally;
    SweepLog log(table.runs.size());
    std::optional<SweepCrew> crew;
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
      LegQueue queue(legs, place.index ? fs::path() : folder.claims());
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
