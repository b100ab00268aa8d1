#include "runner/sweep/sweep_table.hpp"

#include "core/atomic_file.hpp"
#include "core/error.hpp"
#include "core/philox.hpp"
#include "core/reproducible.hpp"
#include "core/sha256.hpp"
#include "core/text.hpp"
#include "runner/options/command_line.hpp"
#include "runner/cli/declare_options.hpp"
#include "runner/cli/option_checks.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <string_view>

namespace triseg {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t most_runs = 1'000'000;

TomlEntry with_value(const TomlEntry& list, std::size_t index) {
  return {list.key, false, {list.types.at(index)}, {list.texts.at(index)}};
}

TomlEntry number_entry(const std::string& key, TomlEntry::Type type, const std::string& text) {
  return {key, false, {type}, {text}};
}

std::vector<TomlEntry> values_of(const TomlEntry& list) {
  std::vector<TomlEntry> values;
  for (std::size_t i = 0; i < list.texts.size(); ++i) values.push_back(with_value(list, i));
  return values;
}

/// A whole number of an entry, or nothing if it is none from `least`.
std::optional<std::uint64_t> count_in(const TomlEntry& entry, std::uint64_t least) {
  if (entry.list || entry.types.front() != TomlEntry::Type::integer) return std::nullopt;
  const auto number = number_in<std::uint64_t>(entry.texts.front());
  return number && *number >= least ? number : std::nullopt;
}

/// Reads the sections of a sweep file one after the other.
class Reader {
 public:
  Reader(const fs::path& path) : path_(path) { spec_.name = path.string(); }

  SweepSpec read() {
    const auto sections = parse_toml_sections(read_text(path_), path_.string());
    for (const TomlSection& section : sections) {
      section_ = section.name;
      if (section.repeated && section.name != "zip" && known_sections.contains(section.name))
        fail("{}: [[{}]]: expected [{}], once", path_.string(), section.name, section.name);
      if (section.name.empty()) read_top(section);
      else if (section.name == "base") read_base(section);
      else if (section.name == "grid") read_lists(section, spec_.grid);
      else if (section.name == "zip") read_zip(section);
      else if (section.name == "random") read_random(section);
      else if (section.name == "halving") read_halving(section);
      else fail("{}: unknown section [{}]: expected {}", path_.string(), section.name, all_sections);
    }
    check_base();
    check_halving();
    return std::move(spec_);
  }

 private:
  [[noreturn]] void bad(const std::string& key, const std::string& what) const {
    fail("{}key '{}': {}", place(), key, what);
  }

  /// What messages begin with: "FILE: [SECTION]: ".
  std::string place() const { return path_.string() + (section_.empty() ? ": " : fmt::format(": [{}]: ", section_)); }

  /// The options of a configuration file, relative to the sweep file's folder.
  void read_base_file(const TomlEntry& entry) {
    if (entry.list || entry.types.front() != TomlEntry::Type::text) bad(entry.key, "expected the path of a file");
    const std::string file = (path_.parent_path() / entry.texts.front()).string(), place = this->place() + entry.key;
    for (TomlEntry& option : read_toml(place, file, "key = value")) {
      check_value(option, fmt::format("{}: {}", place, file));
      base_file_.push_back(std::move(option));
    }
  }

  void read_top(const TomlSection& section) {
    for (const TomlEntry& entry : section.entries) {
      if (entry.key == "base") {
        read_base_file(entry);
      } else if (entry.key == "seeds") {
        const auto seeds = count_in(entry, 1);
        if (!seeds || *seeds > most_runs) bad(entry.key, fmt::format("expected a number of seeds, 1 to {}", most_runs));
        spec_.seeds = *seeds;
        take_key("seed");
      } else {
        CLI::App app;
        SearchOptions options;
        declare_search(app, options);
        if (app.get_option_no_throw("--" + entry.key))
          bad(entry.key, "is an option of a search: expected it in [base], or its values in a list in [grid]");
        bad(entry.key, fmt::format("unknown:{} expected base or seeds, or a section {}",
                                   did_you_mean(entry.key, {"base", "seeds"}), all_sections));
      }
    }
  }

  void read_base(const TomlSection& section) {
    for (const TomlEntry& entry : section.entries) {
      if (entry.key == "config") {
        read_base_file(entry);
        continue;
      }
      check_option(entry);
      own_base_.push_back(entry);
    }
  }

  void read_lists(const TomlSection& section, std::vector<SweepAxis>& axes) {
    if (section.entries.empty()) fail("{}: [{}]: expected options and lists of their values", path_.string(), section_);
    for (const TomlEntry& entry : section.entries) {
      if (!entry.list) bad(entry.key, "expected a list of values");
      if (entry.texts.empty()) bad(entry.key, "expected at least one value");
      take_key(entry.key);
      axes.push_back({entry.key, values_of(entry)});
      for (const TomlEntry& value : axes.back().values) check_option(value);
    }
  }

  void read_zip(const TomlSection& section) {
    std::vector<SweepAxis> axes;
    read_lists(section, axes);
    for (const SweepAxis& axis : axes)
      if (axis.values.size() != axes.front().values.size())
        bad(axis.key, fmt::format("{} values beside {} of '{}': lists of a [[zip]] go side by side", axis.values.size(),
                                  axes.front().values.size(), axes.front().key));
    spec_.zips.push_back(std::move(axes));
  }

  void read_random(const TomlSection& section) {
    std::map<std::string, std::vector<const TomlEntry*>> ranges;
    for (const TomlEntry& entry : section.entries) {
      const std::size_t dot = entry.key.find('.');
      if (entry.key == "draws") {
        const auto draws = count_in(entry, 1);
        if (!draws || *draws > most_runs) bad(entry.key, "expected a number of draws, 1 or more");
        spec_.draws = *draws;
      } else if (entry.key == "draw-seed") {
        const auto seed = count_in(entry, 0);
        if (!seed) bad(entry.key, "expected a whole number from 0");
        spec_.draw_seed = *seed;
      } else if (dot != std::string::npos) {
        auto& parts = ranges[entry.key.substr(0, dot)];
        if (parts.empty()) spec_.random.push_back({entry.key.substr(0, dot), {}});
        parts.push_back(&entry);
      } else {
        if (!entry.list || entry.texts.empty())
          bad(entry.key, "expected a list of choices, or a range: {min = 1e-4, max = 1e-2, scale = \"log\"}");
        take_key(entry.key);
        spec_.random.push_back({entry.key, values_of(entry)});
        for (const TomlEntry& value : spec_.random.back().choices) check_option(value);
      }
    }
    for (RandomAxis& axis : spec_.random)
      if (axis.choices.empty()) read_range(axis, ranges[axis.key]);
    if (spec_.random.empty()) fail("{}: [random]: expected options and what they are drawn from", path_.string());
  }

  void read_halving(const TomlSection& section) {
    for (const TomlEntry& entry : section.entries) {
      if (entry.key == "rungs") {
        if (!entry.list || entry.texts.empty()) bad(entry.key, "expected a list of episodes");
        for (const TomlEntry& value : values_of(entry)) {
          const auto episodes = count_in(value, 1);
          const auto before = spec_.halving.rungs.empty() ? 0 : spec_.halving.rungs.back();
          if (!episodes || *episodes <= before) bad(entry.key, "expected whole numbers from 1, ascending");
          spec_.halving.rungs.push_back(*episodes);
        }
      } else if (entry.key == "eta") {
        const auto eta = count_in(entry, 2);
        if (!eta) bad(entry.key, "expected a whole number from 2: of n runs the best n / eta go on");
        spec_.halving.eta = *eta;
      } else if (entry.key == "by") {
        spec_.halving.by = entry.texts;
      } else {
        bad(entry.key, "unknown: expected rungs, eta or by");
      }
    }
    if (spec_.halving.rungs.empty()) fail("{}: [halving]: expected rungs, a list of episodes", path_.string());
  }

  void check_halving() {
    section_ = "halving";
    for (const std::string& key : spec_.halving.by)
      if (!taken_.contains(key)) bad("by", fmt::format("{} is no option that varies", key));
  }

  void read_range(RandomAxis& axis, const std::vector<const TomlEntry*>& parts) {
    take_key(axis.key);
    const TomlEntry *least = nullptr, *most = nullptr;
    for (const TomlEntry* part : parts) {
      const std::string name = part->key.substr(axis.key.size() + 1);
      const auto type = part->types.empty() ? TomlEntry::Type::boolean : part->types.front();
      const bool number = !part->list && (type == TomlEntry::Type::integer || type == TomlEntry::Type::real);
      if (name == "scale") {
        if (part->joined() != "log" && part->joined() != "linear") bad(part->key, "expected \"log\" or \"linear\"");
        axis.logarithmic = part->joined() == "log";
      } else if ((name == "min" || name == "max") && number) {
        (name == "min" ? least : most) = part;
      } else {
        bad(part->key, "expected min and max, numbers, and perhaps scale, \"log\" or \"linear\"");
      }
    }
    if (!least || !most) bad(axis.key, "expected a range with min and max");
    axis.whole = least->types.front() == TomlEntry::Type::integer && most->types.front() == TomlEntry::Type::integer;
    axis.least = number_in<double>(least->texts.front()).value_or(0);
    axis.most = number_in<double>(most->texts.front()).value_or(0);
    if (!(axis.least < axis.most)) bad(axis.key, "expected a min below the max");
    if (axis.logarithmic && !(axis.least > 0)) bad(axis.key, "a logarithmic range begins above 0");
    TomlEntry value = *least;
    value.key = axis.key;
    check_option(value);
    value.types = most->types, value.texts = most->texts;
    check_option(value);
  }

  /// Options that several parts of the sweep set contradict each other.
  void take_key(const std::string& key) {
    if (!taken_.insert(key).second)
      bad(key, key == "seed" && spec_.seeds > 0 ? "`seeds` varies it, too" : "another axis varies it, too");
  }

  /// Throws Error unless the value is one of this option of a search, and the option is not the sweep's own.
  void check_option(const TomlEntry& entry) const {
    if (entry.key == "out" || entry.key == "result-file")
      bad(entry.key, "the sweep names the files of its runs: remove it");
    if (entry.key == "time-limit") bad(entry.key, "it would end runs before they are finished: remove it");
    if (joins_ranks(entry)) bad(entry.key, all_ranks);
    const std::string place = this->place();
    check_value(entry, place.substr(0, place.size() - 2));
  }

  /// Throws Error unless the value is one of this option of a search. place: "FILE: [SECTION]".
  static void check_value(const TomlEntry& entry, const std::string& place) {
    CLI::App app;
    SearchOptions options;
    declare_search(app, options);
    apply_entries(app, {entry}, place);
  }

  static bool joins_ranks(const TomlEntry& entry) { return entry.key == "transport" || entry.key == "rank-timeout"; }

  void check_base() {
    section_ = "base";
    for (const TomlEntry& entry : base_file_)
      if (joins_ranks(entry)) bad("config", fmt::format("its {} {}", entry.key, all_ranks));
    for (const TomlEntry& entry : own_base_)
      if (taken_.contains(entry.key)) bad(entry.key, "an axis varies it: remove it here");
    spec_.base = own_base_;
    std::set<std::string> own;
    for (const TomlEntry& entry : own_base_) own.insert(entry.key);
    for (const TomlEntry& entry : base_file_)
      if (entry.key != "out" && entry.key != "result-file" && entry.key != "time-limit" && !own.contains(entry.key) &&
          !taken_.contains(entry.key))
        spec_.base.push_back(entry);
  }

  static constexpr const char* all_sections = "[base], [grid], [[zip]], [random] or [halving]";
  static inline const std::set<std::string> known_sections = {"base", "grid", "zip", "random", "halving"};
  static constexpr const char* all_ranks = "is of all ranks of a sweep: give it on the command line instead";
  fs::path path_;
  std::string section_;
  SweepSpec spec_;
  std::set<std::string> taken_;
  std::vector<TomlEntry> own_base_, base_file_;
};

/// The draw of an axis: uniform, from a counter, so that it depends on nothing drawn before.
TomlEntry draw(const RandomAxis& axis, std::uint64_t seed, std::uint64_t draw_index, std::uint64_t axis_index) {
  const double u = uniform(seed, Stream::sweep, draw_index, static_cast<std::uint32_t>(axis_index));
  if (!axis.choices.empty())
    return axis.choices[std::min<std::size_t>(std::size_t(u * double(axis.choices.size())), axis.choices.size() - 1)];
  const double room = axis.whole ? 0.5 : 0;  // both ends are as likely as any number between
  const double least = axis.least - (axis.logarithmic ? 0 : room), most = axis.most + (axis.logarithmic ? 0 : room);
  double value =
      axis.logarithmic
          ? reproducible_exp(reproducible_log(least) + u * (reproducible_log(most) - reproducible_log(least)))
          : least + u * (most - least);
  value = std::clamp(axis.whole ? std::round(value) : value, axis.least, axis.most);
  return axis.whole
             ? number_entry(axis.key, TomlEntry::Type::integer, fmt::format("{}", static_cast<std::int64_t>(value)))
             : number_entry(axis.key, TomlEntry::Type::real, fmt::format("{}", value));
}

using Point = std::vector<TomlEntry>;

/// Every point with every one of these added to it.
std::vector<Point> times(const std::string& name, const std::vector<Point>& points, const std::vector<Point>& more) {
  if (points.size() * more.size() > most_runs) fail("{}: more than {} runs", name, most_runs);
  std::vector<Point> result;
  for (const Point& point : points)
    for (const Point& added : more) {
      result.push_back(point);
      result.back().insert(result.back().end(), added.begin(), added.end());
    }
  return result;
}

std::vector<Point> points_of(const SweepSpec& spec) {
  std::vector<Point> points(1);
  for (const SweepAxis& axis : spec.grid) {
    std::vector<Point> more;
    for (const TomlEntry& value : axis.values) more.push_back({value});
    points = times(spec.name, points, more);
  }
  for (const auto& zip : spec.zips) {
    std::vector<Point> more(zip.front().values.size());
    for (const SweepAxis& axis : zip)
      for (std::size_t i = 0; i < more.size(); ++i) more[i].push_back(axis.values[i]);
    points = times(spec.name, points, more);
  }
  if (!spec.random.empty()) {
    std::vector<Point> more(spec.draws);
    for (std::uint64_t d = 0; d < spec.draws; ++d)
      for (std::size_t a = 0; a < spec.random.size(); ++a)
        more[d].push_back(draw(spec.random[a], spec.draw_seed, d, a));
    points = times(spec.name, points, more);
  }
  if (spec.seeds > 0) {
    std::vector<Point> more;
    for (std::uint64_t seed = 1; seed <= spec.seeds; ++seed)
      more.push_back({number_entry("seed", TomlEntry::Type::integer, fmt::format("{}", seed))});
    points = times(spec.name, points, more);
  }
  return points;
}

/// Counts the runs that do what another does, for they differ in options without effect alone, and names those options.
void find_repeats(SweepTable& table) {
  std::set<std::vector<std::string>> seen;
  for (const SweepRun& run : table.runs) {
    std::vector<std::string> effective = run.varied;
    std::set<std::string> without;
    for (std::size_t i = 0; i < table.varied.size(); ++i)
      if (const std::string needs = needed_by(table.varied[i], run.search); !needs.empty()) {
        effective[i] = "";
        without.insert(fmt::format("--{} needs {}", table.varied[i], needs));
      }
    if (seen.insert(effective).second) continue;
    ++table.repeats;
    table.no_effect.merge(without);
  }
}

}  // namespace

SweepSpec read_sweep(const std::filesystem::path& path) { return Reader(path).read(); }

SweepTable make_table(const SweepSpec& spec) {
  const std::vector<Point> points = points_of(spec);
  SweepTable table;
  table.points = points.size();
  table.file = spec.name;
  for (const TomlEntry& value : points.front()) table.varied.push_back(value.key);
  table.halving = spec.halving;
  std::set<std::string> seen;
  std::map<std::vector<std::string>, std::size_t> brackets;
  for (const Point& point : points) {
    SweepRun run;
    for (const TomlEntry& value : point) run.varied.push_back(value.joined());
    run.options = point;
    run.options.insert(run.options.end(), spec.base.begin(), spec.base.end());
    CLI::App app;
    SearchOptions options;
    declare_search(app, options);
    const std::string place = place_of(table, run);
    apply_entries(app, run.options, place);
    try {
      check_options(options, {});
    } catch (const Error& error) {
      fail("{}: {}", place, error.what());
    }
    run.id = sha256_hex(result_options_text(app)).substr(0, 12);
    run.search = options;
    if (!spec.halving.rungs.empty()) {
      if (options.objective.objective != Objective::accuracy)
        fail("{}: [halving] compares runs by KD, which --objective {} is not about", place,
             name_of(objectives, options.objective.objective));
      if (spec.halving.rungs.back() >= options.episodes)
        fail("{}: [halving]: expected rungs below its {} episodes, found {}", place, options.episodes,
             spec.halving.rungs.back());
    }
    std::vector<std::string> bracket;
    for (const std::string& key : spec.halving.by)
      bracket.push_back(run.varied[std::find(table.varied.begin(), table.varied.end(), key) - table.varied.begin()]);
    run.bracket = brackets.emplace(bracket, brackets.size()).first->second;
    if (seen.insert(run.id).second) table.runs.push_back(std::move(run));
  }
  find_repeats(table);
  return table;
}

std::string repeats_text(const SweepTable& table) {
  if (table.repeats == 0) return "";
  return fmt::format("{} of {} {} from another only in what has no effect there ({}): lists of a [[zip]] pair values",
                     table.repeats, counted(table.runs.size(), "run"), table.repeats == 1 ? "differs" : "differ",
                     fmt::join(table.no_effect, ", "));
}

std::string place_of(const SweepTable& table, const SweepRun& run) {
  std::string named;
  for (std::size_t i = 0; i < table.varied.size(); ++i)
    named += fmt::format("{}{} = {}", i ? ", " : ": run with ", table.varied[i], run.varied[i]);
  return table.file + named;
}

std::string aligned(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const auto& row : rows)
    for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c) line += fmt::format("{:<{}}  ", row[c], widths[c]);
    line.resize(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string toml_text(const std::vector<TomlEntry>& options) {
  std::string text;
  for (const TomlEntry& entry : options) {
    std::string value;
    for (std::size_t i = 0; i < entry.texts.size(); ++i)
      value +=
          (i ? ", " : "") + (entry.types[i] == TomlEntry::Type::text ? toml_string(entry.texts[i]) : entry.texts[i]);
    text += fmt::format("{} = {}\n", entry.key, entry.list ? "[" + value + "]" : value);
  }
  return text;
}

}  // namespace triseg
