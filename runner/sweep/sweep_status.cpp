#include "runner/sweep/sweep_status.hpp"

#include "core/error.hpp"
#include "core/text.hpp"

#include <array>
#include <string_view>
#include <utility>

namespace triseg {
namespace {

constexpr std::array<std::pair<RunState, std::string_view>, 5> states = {{{RunState::finished, "finished"},
                                                                          {RunState::running, "running"},
                                                                          {RunState::stale, "stale"},
                                                                          {RunState::failed, "failed"},
                                                                          {RunState::waiting, "waiting"}}};

std::string described(const RunStatus& status) {
  const std::string progress = status.episodes_total > 0
                                   ? fmt::format("{} of {} episodes", status.episodes, status.episodes_total)
                                   : "no episode yet";
  switch (status.state) {
    case RunState::running: return fmt::format("running, {}, {}", progress, status.holder);
    case RunState::stale:
      return fmt::format("stale, {}: {} is gone; the sweep's command continues it", progress, status.holder);
    case RunState::failed: return "failed: " + printable(status.failure);
    case RunState::finished: return "finished";
    case RunState::waiting: break;
  }
  return status.episodes_total > 0 ? "waiting, " + progress : "waiting";
}

}  // namespace

std::string status_text(const SweepFolder& folder, bool* done) {
  const SweepTable table = read_table(folder);
  std::array<std::size_t, states.size()> counts{};
  std::string lines;
  for (std::size_t i = 0; i < table.runs.size(); ++i) {
    RunStatus status;
    try {
      status = run_status(folder, table.runs[i].id);
    } catch (const Error& error) {  // one damaged file hides no other run
      status.state = RunState::failed;
      status.failure = error.what();
    }
    for (std::size_t s = 0; s < states.size(); ++s) counts[s] += states[s].first == status.state;
    if (status.state == RunState::finished) continue;
    std::string values;
    for (std::size_t v = 0; v < table.varied.size(); ++v)
      values += fmt::format(" {}={}", table.varied[v], table.runs[i].varied[v]);
    lines += fmt::format("{} {}{}: {}\n", i, table.runs[i].id, values, described(status));
  }
  std::string text = counted(table.runs.size(), "run") + ":";
  for (std::size_t s = 0; s < states.size(); ++s)
    if (counts[s] > 0) text += fmt::format(" {} {},", counts[s], states[s].second);
  text.back() = '\n';
  if (done) *done = counts[1] == 0 && counts[4] == 0;
  return text + lines;
}

}  // namespace triseg
