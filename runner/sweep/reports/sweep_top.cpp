#include "runner/sweep/reports/sweep_top.hpp"

#include "core/error.hpp"
#include "core/text.hpp"
#include "learner/files/run_file.hpp"
#include "learner/judging/confidence.hpp"
#include "runner/cli/option_checks.hpp"
#include "runner/sweep/reports/sweep_figures.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <system_error>

namespace triseg {
namespace {

namespace fs = std::filesystem;

struct Shown {
  const char* name;
  const char* title;
  bool more_is_better;
  int digits;
};
constexpr std::array<Shown, figures> all_figures = {{{"kd", "KD", false, 5},
                                                     {"accuracy", "accuracy [%]", true, 2},
                                                     {"drop", "drop [points]", false, 2},
                                                     {"coverage", "coverage", true, 4},
                                                     {"energy", "energy [pJ]", false, 0}}};

/// A combination of values, its finished runs by seed, and the episodes that they and those stopped by [halving] have
/// scored.
struct Setting {
  std::vector<std::string> values;
  std::map<std::string, Figures> runs;
  std::vector<std::uint64_t> episodes;
};

/// "0.0712 +- 0.0034"; without an interval of one number.
std::string mean_text(const std::vector<double>& numbers, int digits) {
  if (numbers.empty()) return "-";
  const MeanInterval interval = mean_95(numbers);
  const std::string mean = fmt::format("{:.{}f}", interval.mean, digits);
  return std::isfinite(interval.half_width) ? fmt::format("{} +- {:.{}f}", mean, interval.half_width, digits) : mean;
}

std::vector<double> column(const Setting& setting, std::size_t figure) {
  std::vector<double> numbers;
  for (const auto& [seed, values] : setting.runs) numbers.push_back(values[figure]);
  return numbers;
}

/// Differences of a figure between the runs of equal seeds.
std::vector<double> paired(const Setting& setting, const Setting& first, std::size_t figure) {
  std::vector<double> differences;
  for (const auto& [seed, values] : setting.runs)
    if (const auto other = first.runs.find(seed); other != first.runs.end())
      differences.push_back(values[figure] - other->second[figure]);
  return differences;
}

std::size_t figure_index(const std::string& name) {
  std::string known;
  for (std::size_t f = 0; f < figures; ++f) {
    if (all_figures[f].name == name) return f;
    known += fmt::format("{}{}", f ? ", " : "", all_figures[f].name);
  }
  fail("--sort: expected one of {}, found '{}'", known, name);
}

/// True for equal texts, and for equal numbers: "1e-3" is "0.001".
bool is_value(const std::string& value, const std::string& wanted) {
  if (value == wanted) return true;
  if (number_in<std::uint64_t>(value) && number_in<std::uint64_t>(wanted)) return false;  // a double may be too coarse
  const auto a = number_in<double>(value), b = number_in<double>(wanted);
  return a && b && *a == *b;
}

bool is_asked_for(const SweepTable& table, const SweepRun& run, const TopOptions& options) {
  return std::all_of(options.where.begin(), options.where.end(), [&](const auto& condition) {
    const auto at = std::find(table.varied.begin(), table.varied.end(), condition.first);
    return at != table.varied.end() && is_value(run.varied[at - table.varied.begin()], condition.second);
  });
}

/// "strategy = ppo and seed = 1".
std::string conditions(const TopOptions& options) {
  std::string text;
  for (const auto& [key, value] : options.where)
    text += fmt::format("{}{} = {}", text.empty() ? "" : " and ", key, value);
  return text;
}

void check_where(const SweepTable& table, const TopOptions& options) {
  for (const auto& [key, value] : options.where) {
    const auto at = std::find(table.varied.begin(), table.varied.end(), key);
    if (at == table.varied.end())
      fail("--where: {} does not vary in this sweep: expected one of {}", key, fmt::join(table.varied, ", "));
    std::vector<std::string> known;
    for (const SweepRun& run : table.runs)
      if (const std::string& each = run.varied[at - table.varied.begin()];
          std::find(known.begin(), known.end(), each) == known.end())
        known.push_back(each);
    if (std::none_of(known.begin(), known.end(), [&](const std::string& each) { return is_value(each, value); }))
      fail("--where: no run has {} = {}: expected one of {}", key, value, fmt::join(known, ", "));
  }
  if (std::none_of(table.runs.begin(), table.runs.end(),
                   [&](const SweepRun& run) { return is_asked_for(table, run, options); }))
    fail("--where: no run has {}", conditions(options));
}

std::vector<Setting> settings_of(const SweepFolder& folder, const SweepTable& table, const TopOptions& options) {
  std::vector<Setting> settings;
  for (const SweepRun& run : table.runs) {
    std::error_code ignored;
    const fs::path file = folder.files(run.id).run;
    if (!is_asked_for(table, run, options) || !fs::exists(file, ignored)) continue;
    RunData data;
    try {
      data = read_run(file);
    } catch (const Error& error) {
      spdlog::warn("warning: left out: {}", error.what());
      continue;
    }
    if (!data.finished && !fs::exists(folder.stopped(run.id), ignored)) continue;
    std::vector<std::string> values;
    std::string seed;
    for (std::size_t c = 0; c < table.varied.size(); ++c)
      if (table.varied[c] == "seed") seed = run.varied[c];
      else values.push_back(printable(run.varied[c]));
    auto setting = std::find_if(settings.begin(), settings.end(), [&](const Setting& s) { return s.values == values; });
    if (setting == settings.end()) setting = settings.insert(settings.end(), {values, {}, {}});
    setting->episodes.push_back(data.episodes.size());
    if (data.finished) setting->runs[seed] = figures_of(data);
  }
  return settings;
}

}  // namespace

std::string top_text(const SweepFolder& folder, const TopOptions& options) {
  const std::size_t sorted = figure_index(options.sort);
  const SweepTable table = read_table(folder);
  check_where(table, options);
  std::vector<Setting> settings = settings_of(folder, table, options);
  if (std::all_of(settings.begin(), settings.end(), [](const Setting& s) { return s.runs.empty(); }))
    fail("{}: no run{} is finished yet: triseg sweep status says how far they are", folder.path.string(),
         options.where.empty() ? "" : " with " + conditions(options));
  std::stable_sort(settings.begin(), settings.end(), [&](const Setting& a, const Setting& b) {
    if (a.runs.empty() || b.runs.empty()) return !a.runs.empty() && b.runs.empty();
    const double x = mean_95(column(a, sorted)).mean, y = mean_95(column(b, sorted)).mean;
    return all_figures[sorted].more_is_better ? x > y : x < y;
  });
  if (options.limit > 0 && settings.size() > options.limit) settings.resize(options.limit);
  std::vector<std::vector<std::string>> rows(1);
  for (const std::string& key : table.varied)
    if (key != "seed") rows[0].push_back(key);
  rows[0].insert(rows[0].end(), {"runs", "episodes"});
  for (const Shown& figure : all_figures) rows[0].emplace_back(figure.title);
  rows[0].push_back(fmt::format("{} minus the first row's", all_figures[sorted].name));
  for (const Setting& setting : settings) {
    rows.push_back(setting.values);
    const auto [least, most] = std::minmax_element(setting.episodes.begin(), setting.episodes.end());
    rows.back().push_back(fmt::format("{}", setting.runs.size()));
    rows.back().push_back(*least == *most ? fmt::format("{}", *most) : fmt::format("{}-{}", *least, *most));
    for (std::size_t f = 0; f < figures; ++f)
      rows.back().push_back(mean_text(column(setting, f), all_figures[f].digits));
    rows.back().push_back(&setting == &settings.front()
                              ? "-"
                              : mean_text(paired(setting, settings.front(), sorted), all_figures[sorted].digits));
  }
  return aligned(rows);
}

}  // namespace triseg
