#include "runner/run_search.hpp"

#include "core/atomic_file.hpp"
#include "core/error.hpp"
#include "core/text.hpp"
#include "learner/files/result_file.hpp"
#include "learner/files/run_file.hpp"
#include "learner/judging/pareto.hpp"
#include "learner/judging/selection.hpp"
#include "runner/display/json_log.hpp"
#include "runner/file_lock.hpp"
#include "runner/ranks/launcher.hpp"
#include "runner/ranks/ranks.hpp"
#include "runner/ranks/rollout.hpp"
#include "worker/engines/engines.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace triseg {
namespace {

namespace fs = std::filesystem;

void announce(const Problem& problem, const RunData& run, const Inputs& inputs) {
  std::vector<std::pair<std::string, std::size_t>> kinds = {{"conv", 0}, {"fc", 0}};
  for (std::size_t i = 0; i < problem.sites.size(); ++i) {
    const std::string_view name = kind_name(problem.network(), problem.site(i));
    const auto kind = std::find_if(kinds.begin(), kinds.end(), [&](const auto& each) { return each.first == name; });
    if (kind == kinds.end()) kinds.emplace_back(name, 1);
    else ++kind->second;
  }
  std::string counts;
  for (const auto& [kind, count] : kinds) counts += fmt::format("{}{} {}", counts.empty() ? "" : " + ", count, kind);
  spdlog::info("Using {} with {} ({})", problem.network().display_name, counted(problem.sites.size(), "layer"), counts);
  if (!run.attention_layers.empty())
    spdlog::info("Attention Transfer: {} ({})", counted(run.attention_layers.size(), "layer"),
                 fmt::join(run.attention_layers, ", "));
  for (const std::string& line : inputs.engine.passed_over) spdlog::info("{}", line);
  spdlog::info("Engine {}: {}; transport {}: {} x {}", run.engine, inputs.scorer->engine_description(), run.transport,
               counted(run.ranks, "rank"), counted(run.threads_per_rank, "thread"));
  if (const int tasks = launched_tasks(); run.transport == "local" && tasks > 1)
    spdlog::info(
        "--transport local: this is one search of its own beside {} that the launcher started; without it all would do "
        "one",
        counted(tasks - 1, "other task"));
}

/// Writes a file that follows from a finished run, unless it is there: what differs from the run's own was edited or
/// picked, and stays.
void write_if_missing(const fs::path& path, const std::string& text) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return commit_file(path, text);
  if (read_text(path) != text)
    spdlog::warn("warning: {} is not what this version makes of the run: it stays; remove it to have it written again",
                 path.string());
}

/// The log's last event: why the search ends here, and what it has come to.
void log_end(const RunData& run, const RunFiles& files, std::string_view reason, int exit_code) {
  std::vector<std::pair<std::string_view, EventValue>> fields = {{"reason", std::string(reason)},
                                                                 {"exit_code", std::uint64_t(exit_code)},
                                                                 {"episodes", std::uint64_t{run.episodes.size()}},
                                                                 {"episodes_total", run.episodes_total},
                                                                 {"run_file", valid_utf8(files.run.string())}};
  if (run.finished) {
    const Candidate& selected = run.top.at(run.selected.top_index);
    const Score& test = run.selected.test;
    fields.insert(fields.end(), {{"result_file", valid_utf8(files.result.string())},
                                 {"pareto_file", valid_utf8(files.pareto.string())},
                                 {"top_index", std::uint64_t{run.selected.top_index}},
                                 {"origin", selected.origin},
                                 {"validation_kd", selected.validation.mean_kd()},
                                 {"kd", test.mean_kd()},
                                 {"kd_mse", run.selected.test_mse.mean_kd()},
                                 {"accuracy_teacher", test.teacher_accuracy()},
                                 {"accuracy_student", test.student_accuracy()}});
  }
  log_event("end", fields);
}

/// The learner's part, once all ranks have loaded their inputs.
int learn(const SearchOptions& o, Inputs& inputs, RunData run, Rollout& rollout, const RunFiles& files,
          const OnFinished& finished, const Pause* pause, const GradientMaker& gradients) {
  announce(*inputs.problem, run, inputs);
  if (run.finished) {
    spdlog::info("{} is finished: nothing to do", files.run.string());
  } else {
    if (run.checkpoint.next_iteration > 0)
      spdlog::info("Continuing {} at episode {} of {}", files.run.string(), run.episodes.size(), run.episodes_total);
    Search search(o, *inputs.problem, *inputs.data, rollout, std::move(run), files.run, inputs.start, gradients);
    const int exit_code = search.run(pause);
    if (const std::vector<Update>& updates = search.data().updates; !updates.empty())
      spdlog::info("Best gain of an episode: {:+.4f} (its reward less that of the start on the same images)",
                   best_gain(updates));
    const SearchSeconds& s = search.seconds();
    spdlog::info(
        "Seconds: calibration {:.2f}, repair {:.2f}, scoring {:.2f}, learner {:.2f}, files {:.2f}, final scoring "
        "{:.2f}",
        s.calibration, s.repair, s.scoring, s.learner, s.files, s.final_scoring);
    run = search.data();
    if (exit_code == search_paused) return exit_code;
    if (exit_code != 0) {
      const bool signal = rollout.stop_requested();
      spdlog::info("Stopped by {} at episode {} of {}; the same command continues",
                   signal ? "a signal" : "--time-limit", run.episodes.size(), run.episodes_total);
      log_end(run, files, signal ? "signal" : "time-limit", exit_code);
      return exit_code;
    }
  }
  write_if_missing(files.result, result_text(run));
  write_if_missing(files.pareto, pareto_csv(run));
  finished(run, files);
  log_end(run, files, "finished", 0);
  return 0;
}

}  // namespace

int run_search(Transport& transport, const DescribeOptions& describe, SearchOptions& o, InputsCache& cache,
               const OnFinished& finished, const Pause* pause, const GradientMaker& gradients) {
  RunData run;
  Inputs inputs = load_agreed_inputs(transport, o, describe, run, cache);
  const RunFiles files = run_files(o.output);
  std::optional<FileLock> lock;
  agree(transport, [&] {
    if (transport.rank() != 0) return;
    // A finished run needs no place to write to, unless it goes on; take_place says what is wrong with another.
    const auto lock_place = [&] {
      ensure_writable_folder(files.folder);
      lock.emplace(files.run, "--out or --result-file");
    };
    const RunData wanted = run;
    if (!is_finished_run(files.run)) lock_place();
    std::optional<ShorterRun> shorter = take_place(run, o, inputs, transport);
    if (!lock && !run.finished) {
      lock_place();
      run = wanted;
      shorter = take_place(run, o, inputs, transport);
    }
    if (shorter) set_aside(*shorter, files);
    if (pause && (run.finished || run.episodes.size() >= pause->episodes + o.iteration.episodes_per_update))
      fail("{} is at episode {}, past {}, where it was to be measured: remove its folder to do it again",
           files.run.string(), run.episodes.size(), pause->episodes);
  });
  Rollout rollout(transport, *inputs.scorer, o.ranks.dedicated_learner);
  if (transport.rank() != 0) return rollout.serve();
  const int exit_code = learn(o, inputs, std::move(run), rollout, files, finished, pause, gradients);
  rollout.finish(exit_code);
  return exit_code;
}

}  // namespace triseg
