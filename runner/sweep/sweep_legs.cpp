#include "runner/sweep/sweep_legs.hpp"

#include "core/error.hpp"
#include "core/text.hpp"
#include "core/toml_file.hpp"
#include "learner/files/run_file.hpp"
#include "runner/cli/option_checks.hpp"

#include <filesystem>
#include <map>
#include <set>
#include <sstream>
#include <system_error>
#include <tuple>

namespace triseg {
namespace {

namespace fs = std::filesystem;

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

}  // namespace

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

std::vector<std::size_t> own_runs(const SweepTable& table, const SweepPlace& place) {
  const std::size_t step = !place.index ? 1 : place.index_step > 0 ? place.index_step : table.runs.size();
  std::vector<std::size_t> own;
  for (std::size_t i = place.index.value_or(0); i < table.runs.size(); i += step) own.push_back(i);
  return own;
}

bool is_done(const SweepFolder& folder, const std::string& id) {
  const RunFiles files = folder.files(id);
  std::error_code ignored;
  return fs::exists(files.result, ignored) && fs::exists(files.pareto, ignored) && is_finished(folder, id);
}

void check_configurations(const SweepFolder& folder, const SweepTable& table, const std::vector<std::size_t>& own) {
  for (const std::size_t i : own) {
    if (!is_done(folder, table.runs[i].id)) continue;
    const fs::path file = folder.files(table.runs[i].id).run;
    if (const std::string other = other_option(table.runs[i], read_progress(file).config); !other.empty())
      fail("{} was made with another configuration, {}: move it away", file.string(), other);
  }
}

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

std::size_t runs_beside(const SweepFolder& folder, const SweepTable& table) {
  std::set<std::string> ids;
  for (const SweepRun& run : table.runs) ids.insert(run.id);
  std::error_code none;
  std::size_t others = 0;
  for (const auto& entry : fs::directory_iterator(folder.path / "runs", none))
    others += !ids.contains(entry.path().filename().string());
  return others;
}

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

}  // namespace triseg
