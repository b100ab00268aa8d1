#include "runner/sweep/sweep_log.hpp"

#include "core/terminal.hpp"
#include "core/text.hpp"
#include "runner/display/live_view.hpp"
#include "runner/display/progress.hpp"

#include <spdlog/spdlog.h>

namespace triseg {

SweepLog::SweepLog(std::size_t runs) : runs_(runs), own_(spdlog::default_logger()->clone("sweep")) {
  own_->set_level(spdlog::level::info);
  spdlog::set_level(spdlog::level::warn);
}

SweepLog::~SweepLog() {
  end_live_view();
  spdlog::set_level(spdlog::level::info);
}

void SweepLog::say(const std::string& text) { own_->info("{}", text); }

void SweepLog::say_of(std::size_t index, const SweepTable& table, const std::string& what) {
  std::string values;
  for (std::size_t i = 0; i < table.varied.size(); ++i)
    values += fmt::format("{} {}={}", i ? "," : "", table.varied[i], printable(table.runs[index].varied[i]));
  say(fmt::format("[{}/{}] {}{}: {}", index + 1, runs_, table.runs[index].id, values, what));
}

void SweepLog::show_pass(std::size_t runs, std::size_t legs) {
  const std::lock_guard lock(mutex_);
  pass_ = Pass{runs, runs - legs, runs - legs, 0, Clock::now()};
  show();
}

void SweepLog::leg_begins() {
  const std::lock_guard lock(mutex_);
  ++pass_.running;
  show();
}

void SweepLog::leg_ends(bool done) {
  const std::lock_guard lock(mutex_);
  --pass_.running;
  pass_.done += done;
  show();
}

void SweepLog::show() const {
  if (pass_.runs == 0 || !live_view_possible()) return;
  const auto [runs, before, done, running, start] = pass_;
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  const std::string eta = done > before ? clock_time(seconds / double(done - before) * double(runs - done)) : "?";
  show_live_view(progress_lines(double(done) / double(runs), fmt::format("{}/{} runs", done, runs),
                                {fmt::format("{} running", running), "ETA " + eta}, terminal_size().columns));
}

}  // namespace triseg
