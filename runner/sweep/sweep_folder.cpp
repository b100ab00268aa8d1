#include "runner/sweep/sweep_folder.hpp"

#include "core/atomic_file.hpp"
#include "core/error.hpp"
#include "core/text.hpp"
#include "learner/files/run_file.hpp"
#include "runner/file_lock.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <system_error>
#include <utility>

namespace triseg {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* format = "triseg-sweep 1";

/// The line of a file that has one.
std::string line_in(const fs::path& path) {
  std::string text = read_text(path);
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

}  // namespace

std::string table_text(const SweepTable& table) {
  Json runs = Json::array();
  for (const SweepRun& run : table.runs) {
    Json values = Json::array();
    for (const std::string& value : run.varied) values.push_back(valid_utf8(value));
    runs.push_back({{"id", run.id}, {"values", values}});
  }
  Json json = {{"format", format}, {"varied", table.varied}, {"runs", runs}};
  const Halving& halving = table.halving;
  if (!halving.rungs.empty()) json["halving"] = {{"rungs", halving.rungs}, {"eta", halving.eta}, {"by", halving.by}};
  return json.dump(1) + "\n";
}

RunFiles SweepFolder::files(const std::string& id) const {
  OutputOptions output;
  output.out = run(id).string();
  output.result_file = sweep_result_file;
  return run_files(output);
}

void write_table(const SweepFolder& folder, const SweepTable& table) { commit_file(folder.table(), table_text(table)); }

bool has_other_table(const SweepFolder& folder, const SweepTable& table) {
  std::error_code ignored;
  return fs::exists(folder.table(), ignored) && read_text(folder.table()) != table_text(table);
}

SweepTable read_table(const SweepFolder& folder) {
  const fs::path path = folder.table();
  std::error_code ignored;
  if (!fs::exists(path, ignored))
    fail("{} is no folder of a sweep: there is no {}; triseg sweep FILE --out DIR makes one", folder.path.string(),
         path.string());
  try {
    const Json json = Json::parse(read_text(path));
    if (json.at("format") != format) fail("{}: expected the table of a sweep of this version", path.string());
    SweepTable table;
    table.varied = json.at("varied").get<std::vector<std::string>>();
    for (const Json& row : json.at("runs")) {
      SweepRun run;
      run.id = row.at("id").get<std::string>();
      run.varied = row.at("values").get<std::vector<std::string>>();
      if (run.varied.size() != table.varied.size() || run.id.find_first_not_of("0123456789abcdef") != std::string::npos)
        fail("{}: run {}: expected an id and {} values", path.string(), run.id, table.varied.size());
      table.runs.push_back(std::move(run));
    }
    table.points = table.runs.size();
    return table;
  } catch (const Json::exception&) {
    fail("{}: expected the table of a sweep: triseg sweep writes it", path.string());
  }
}

RunStatus run_status(const SweepFolder& folder, const std::string& id) {
  RunStatus status;
  const RunFiles files = folder.files(id);
  std::error_code ignored;
  const std::string holder = lock_holder(files.run);
  if (fs::exists(files.run, ignored)) {
    const RunProgress run = read_progress(files.run);
    status.episodes = run.episodes;
    status.episodes_total = run.episodes_total;
    if (run.finished) {
      status.state = RunState::finished;
      return status;
    }
  }
  status.holder = holder;
  if (is_locked(files.run)) {
    status.state = RunState::running;
    return status;
  }
  for (const auto& [file, state] :
       {std::pair(folder.failure(id), RunState::failed), {folder.stopped(id), RunState::stopped}})
    if (fs::exists(file, ignored)) {
      status.state = state;
      status.reason = line_in(file);
      return status;
    }
  if (lock_holder(files.run).empty()) return holder.empty() ? status : run_status(folder, id);  // it ended just now
  status.state = RunState::stale;
  return status;
}

bool is_finished(const SweepFolder& folder, const std::string& id) { return is_finished_run(folder.files(id).run); }

void write_stopped(const SweepFolder& folder, const std::string& id, const std::string& line) {
  const fs::path path = folder.stopped(id);
  std::error_code ignored;
  if (!fs::exists(path, ignored) || line_in(path) != line) commit_file(path, line + "\n");
}

std::string counts_of(std::span<const RunState> states) {
  std::string text;
  for (const auto& [name, state] : run_states)
    if (const auto count = std::count(states.begin(), states.end(), state))
      text += fmt::format("{} {} {}", text.empty() ? ":" : ",", count, name);
  return counted(states.size(), "run") + text;
}

}  // namespace triseg
