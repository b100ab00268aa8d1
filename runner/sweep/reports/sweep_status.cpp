#include "runner/sweep/reports/sweep_status.hpp"

#include "core/error.hpp"
#include "core/text.hpp"

#include <algorithm>
#include <vector>

namespace triseg {
namespace {

std::string described(const RunStatus& status) {
  const std::string progress = status.episodes_total > 0
                                   ? fmt::format("{} of {} episodes{}", status.episodes, status.episodes_total,
                                                 status.episodes == status.episodes_total ? ", final scoring" : "")
                                   : "no episode yet";
  switch (status.state) {
    case RunState::running: return fmt::format("running, {}, {}", progress, status.holder);
    case RunState::stale:
      return fmt::format("stale, {}: {} is gone; the sweep's command continues it", progress, status.holder);
    case RunState::failed: return "failed: " + printable(status.reason);
    case RunState::stopped: return "stopped " + printable(status.reason);
    case RunState::finished: return "finished";
    case RunState::waiting: break;
  }
  return status.episodes_total > 0 ? "waiting, " + progress : "waiting";
}

}  // namespace

std::string status_text(const SweepFolder& folder, bool* done) {
  const SweepTable table = read_table(folder);
  std::vector<RunState> states;
  std::string lines;
  for (std::size_t i = 0; i < table.runs.size(); ++i) {
    RunStatus status;
    try {
      status = run_status(folder, table.runs[i].id);
    } catch (const Error& error) {  // one damaged file hides no other run
      status.state = RunState::failed;
      status.reason = error.what();
    }
    states.push_back(status.state);
    if (status.state == RunState::finished) continue;
    std::string values;
    for (std::size_t v = 0; v < table.varied.size(); ++v)
      values += fmt::format(" {}={}", table.varied[v], printable(table.runs[i].varied[v]));
    lines += fmt::format("{} {}{}: {}\n", i, table.runs[i].id, values, described(status));
  }
  if (done)
    *done = std::none_of(states.begin(), states.end(),
                         [](RunState state) { return state == RunState::running || state == RunState::waiting; });
  return counts_of(states) + "\n" + lines;
}

}  // namespace triseg
